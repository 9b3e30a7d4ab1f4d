"""torchgeo's pretrained weights by name: their bands, scaling and use; works offline."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from geoseg.errors import ConfigError
from geoseg.models.architectures import NetworkName
from geoseg.models.band_names import LANDSAT_OLI, LANDSAT_TM, SENTINEL2
from geoseg.models.torchgeo_adapter import listed_weights

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
"""Sensor and ground sampling distance in metres by prefix of a name. The order matters: LANDSAT
alone, of Satlas, is Landsat 8 and 9."""

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
"""From torchgeo's name of a network to the backbone that takes its weights."""

RGB = ("R", "G", "B")
FIELDS = {2: ("background", "field"), 3: ("background", "field", "boundary")}
"""Classes of Fields of The World, which torchgeo does not list."""


@dataclass(frozen=True)
class Weights:
    """Pretrained weights.

    Attributes:
        name: name such as ResNet50_Weights.SENTINEL2_ALL_MOCO.
        url: address of the file.
        use: "model" for a whole model, "backbone" for an encoder, "none" if they fit no network
            of geoseg.
        backbone: encoder they fit.
        bands: input bands in order; empty where the network takes any, or no image.
        mean: mean of each band; the network was trained on (pixel - mean) / std.
        std: standard deviation of each band.
        sensor: sensor of the training images.
        gsd_m: ground sampling distance of the training images, in metres.
        licence: licence, as torchgeo states it.
        classes: class names of a whole model.
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
        """Name of the file, as in torch's own cache."""
        return self.url.rpartition("/")[2]

    @property
    def architectures(self) -> tuple[NetworkName, ...]:
        """Networks that take them; empty if every network with an encoder does."""
        if self.use == "model":
            return ("unet",)
        return ("dpt",) if self.backbone.startswith("tu-vit") else ()


@cache
def all_weights() -> dict[str, Weights]:
    """List all weights of torchgeo, by name."""
    return {str(each): _describe(each) for each in listed_weights()}


def is_name(text: str) -> bool:
    """Whether a text looks like a name of weights instead of a path."""
    kind, dot, name = text.partition(".")
    return bool(dot) and kind.endswith("_Weights") and name.isidentifier()


def named(name: str) -> Weights:
    """Look weights up by name.

    Raises:
        ConfigError: torchgeo lists no such name; the error suggests the nearest ones.
    """
    found = all_weights().get(name)
    if found is None:
        near = difflib.get_close_matches(name, all_weights(), n=3, cutoff=0.5)
        raise ConfigError(
            "torchgeo has no weights of that name",
            where=name,
            wanted=" or ".join(near) or None,
            fix="geoseg models list",
        )
    return found


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
    """Band names; where bands repeat for several dates, the number of the date is appended."""
    bands = tuple(entry.meta.get("bands") or (RGB if sensor in ("fMoW", "street view") else ()))
    dates = [bands[:number].count(band) + 1 for number, band in enumerate(bands)]
    if max(dates, default=1) == 1:
        return bands
    return tuple(f"{band}_{date}" for band, date in zip(bands, dates, strict=True))


def _classes(meta: dict[str, Any]) -> tuple[str, ...]:
    return tuple(meta.get("classes") or FIELDS[meta["num_classes"]])


def _scaling(transforms: Any, count: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Combine successive normalizations into one: (pixel - mean) / std for each band."""
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
