"""torchgeo's pretrained weights by name: their bands, their scaling, what they are good for.

Nothing here opens a connection: torchgeo's lists are read, and the transforms that stand in them.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from geoseg.errors import ConfigError
from geoseg.models.band_names import LANDSAT_OLI, LANDSAT_TM, SENTINEL2
from geoseg.models.saved.spec import NetworkName

if TYPE_CHECKING:
    from torchvision.models import WeightsEnum  # type: ignore[import-untyped]

type Use = Literal["model", "backbone", "none"]

SENSORS: dict[str, tuple[str, float | None]] = {
    "SENTINEL2": (SENTINEL2, 10.0),
    "SENTINEL1": ("Sentinel-1", 10.0),
    "LANDSAT_OLI": (LANDSAT_OLI, 30.0),
    "LANDSAT_TM": (LANDSAT_TM, 30.0),
    "LANDSAT_ETM": (LANDSAT_TM, 30.0),
    "LANDSAT": (LANDSAT_OLI, 30.0),
    "NAIP": ("NAIP", 1.0),
    "OAM": ("OpenAerialMap", 0.1),
    "FMOW": ("fMoW", None),
    "CITYSCAPES": ("street view", None),
}
"""By the beginning of a name. Satlas' Landsat is of Landsat 8 and 9."""

ENCODERS = {
    "resnet18": "resnet18",
    "resnet50": "resnet50",
    "resnet152": "resnet152",
    "swin_v2_t": "swin_v2_t",
    "swin_v2_b": "swin_v2_b",
    "SwinTransformer Tiny": "swin_t",
    "SwinTransformer Small": "swin_s",
    "vit_small_patch16_224": "tu-vit_small_patch16_224",
    "vit_base_patch16_224": "tu-vit_base_patch16_224",
    "vit_large_patch16_224": "tu-vit_large_patch16_224",
    "vit_huge_patch14_224": "tu-vit_huge_patch14_224",
    "vit_small_patch14_dinov2": "tu-vit_small_patch14_dinov2",
    "vit_base_patch14_dinov2": "tu-vit_base_patch14_dinov2",
}
"""What torchgeo calls a network, and the backbone that takes its weights."""

RGB = ("R", "G", "B")
FIELDS = {2: ("background", "field"), 3: ("background", "field", "boundary")}
"""Classes of Fields of The World, which torchgeo does not list."""


@dataclass(frozen=True)
class Weights:
    """Pretrained weights.

    Attributes:
        name: such as ResNet50_Weights.SENTINEL2_ALL_MOCO.
        url: where they are.
        use: a whole "model", a "backbone", or "none": they fit none of geoseg's networks.
        backbone: the encoder they fit.
        bands: the input bands in order; none where the network takes any, or no image.
        mean: by band; the network was trained on (pixel - mean) / std.
        std: by band.
        sensor: of the training images.
        gsd_m: of the training images, in metres.
        licence: as torchgeo states it.
        classes: of a whole model.
    """

    name: str
    url: str
    use: Use
    backbone: str
    bands: tuple[str, ...]
    mean: tuple[float, ...]
    std: tuple[float, ...]
    sensor: str
    gsd_m: float | None
    licence: str
    classes: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name of the file, as torch's own cache has it."""
        return self.url.rpartition("/")[2]

    @property
    def architectures(self) -> tuple[NetworkName, ...]:
        """Networks that take them; none where every network with an encoder does."""
        if self.use == "model":
            return ("unet",)
        return ("dpt",) if self.backbone.startswith("tu-vit") else ()


@cache
def everything() -> dict[str, Weights]:
    """All weights that torchgeo lists, by name."""
    return {str(each): _describe(each) for each in _enums()}


def is_name(text: str) -> bool:
    """Whether a text looks like the name of weights, not like a path."""
    kind, dot, name = text.partition(".")
    return bool(dot) and kind.endswith("_Weights") and name.isidentifier()


def named(name: str) -> Weights:
    """Weights by name.

    Raises:
        ConfigError: torchgeo lists none of that name; the nearest names are given.
    """
    found = everything().get(name)
    if found is None:
        near = difflib.get_close_matches(name, everything(), n=3, cutoff=0.5)
        raise ConfigError(
            "torchgeo has no weights of that name",
            where=name,
            wanted=" or ".join(near) or None,
            fix="geoseg models list",
        )
    return found


def _enums() -> Iterator[WeightsEnum]:
    from torchgeo import models

    for name in sorted(vars(models)):
        if name.endswith("_Weights"):
            yield from getattr(models, name)


def _describe(entry: WeightsEnum) -> Weights:
    meta = entry.meta
    prefix = next((each for each in SENSORS if entry.name.startswith(each)), "")
    sensor, gsd_m = SENSORS.get(prefix, ("", None))
    backbone = meta.get("encoder", "") if meta.get("model") == "U-Net" else _encoder(meta)
    bands = _bands(entry, sensor)
    mean, std = _scaling(entry.transforms, len(bands))
    use: Use = "model" if meta.get("model") == "U-Net" else "backbone" if backbone else "none"
    return Weights(
        name=str(entry),
        url=entry.url,
        use=use,
        backbone=backbone,
        bands=bands,
        mean=mean,
        std=std,
        sensor=sensor,
        gsd_m=float(meta["resolution"]) if use == "model" and "resolution" in meta else gsd_m,
        licence=meta.get("license", ""),
        classes=_classes(meta) if use == "model" else (),
    )


def _encoder(meta: dict[str, Any]) -> str:
    return ENCODERS.get(meta.get("model", ""), "")


def _bands(entry: WeightsEnum, sensor: str) -> tuple[str, ...]:
    """Bands of several dates stand one after the other; the date is added to their names."""
    bands = tuple(entry.meta.get("bands") or (RGB if sensor in ("fMoW", "street view") else ()))
    dates = [bands[:number].count(band) + 1 for number, band in enumerate(bands)]
    if max(dates, default=1) == 1:
        return bands
    return tuple(f"{band}_{date}" for band, date in zip(bands, dates, strict=True))


def _classes(meta: dict[str, Any]) -> tuple[str, ...]:
    return tuple(meta.get("classes") or FIELDS[meta["num_classes"]])


def _scaling(transforms: Any, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Normalizations one after the other, as one: (pixel - mean) / std for each band."""
    mean, std = [0.0] * count, [1.0] * count
    for each in _leaves(transforms):
        if hasattr(each, "mean") and hasattr(each, "std"):
            shifts, spreads = _wide(each.mean, count), _wide(each.std, count)
            mean = [m + s * shift for m, s, shift in zip(mean, std, shifts, strict=True)]
            std = [s * spread for s, spread in zip(std, spreads, strict=True)]
    return tuple(mean), tuple(std)


def _leaves(transforms: Any) -> Iterator[Any]:
    inner = list(transforms.children()) if hasattr(transforms, "children") else []
    if not inner:
        yield transforms
    for each in inner:
        yield from _leaves(each)


def _wide(values: Sequence[float], count: int) -> list[float]:
    return [float(v) for v in values] * (count if len(values) == 1 else 1)
