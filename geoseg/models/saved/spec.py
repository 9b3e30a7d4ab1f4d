"""What a model was made for; saved with its weights and enforced before a pixel is predicted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg import ground
from geoseg.classes import ClassScheme
from geoseg.errors import ModelError
from geoseg.models.band_names import IndexName, position
from geoseg.raster import RasterSource

type NetworkName = Literal[
    "unet", "deeplabv3+", "fcn", "upernet", "segformer", "dpt", "unet++", "unet-scse", "manet",
    "fpn", "linknet", "pspnet", "deeplabv3", "linear",
]  # fmt: skip
type PixelRule = Literal["forest", "svm", "threshold"]
type Architecture = NetworkName | PixelRule | Literal["onnx"]
type Features = Literal["pixel", "texture", "superpixel"]

logger = logging.getLogger(__name__)
SPEC, WEIGHTS = "spec.json", "model.safetensors"
GSD_TOLERANCE = 0.2


class Threshold(BaseModel):
    """A map of two classes from an index, (first - second) / (first + second).

    Attributes:
        index: its name.
        bands: names of the first and the second band.
        at: the threshold.
        above: id of the class where the index is higher; the other class lies below.
        softness: the probability of the class above is 1 / (1 + exp(-(index - at) / softness)).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    index: IndexName
    bands: tuple[str, str]
    at: float
    above: Literal[0, 1] = 1
    softness: float = Field(0.05, gt=0)


class ModelSpec(BaseModel):
    """The contract between training and prediction.

    Attributes:
        architecture: the network, or how single pixels are told apart; "onnx" is a network that
            another program wrote into a file.
        backbone: the network's encoder.
        bands: names of the input bands, in order.
        dtype: of the pixels it was trained on.
        mean: by band, of the training pixels; inputs are (pixel - mean) / std, invalid ones 0.
        std: by band.
        gsd_m: ground sampling distance in metres; None where a file does not say it.
        scheme: the classes, by id.
        stride: the network's total downsampling; cores and halos are multiples of it.
        halo: pixels it should see around what it maps.
        window: side in pixels of the windows it maps best; None leaves it to the machine.
        side: of the only windows, halo included, that its network takes; None takes any.
        features: what a forest or an SVM looks at.
        threshold: what a threshold is set on.
        temperature: what logits, or logarithms of the probabilities of what has none, are divided
            by before they become probabilities.
        origin: the weights that training started from, or that the model is.
        licence: of those.
        weights_sha256: of the weights file; empty where all stands in this spec.
        metrics: of the validation blocks.
        versions: of what trained it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Architecture
    backbone: str = ""
    bands: tuple[str, ...]
    dtype: str
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()
    gsd_m: float | None = Field(gt=0)
    scheme: ClassScheme
    stride: int = Field(1, ge=1)
    halo: int = Field(0, ge=0)
    window: int | None = Field(None, ge=32)
    side: int | None = Field(None, ge=32)
    features: Features | None = None
    threshold: Threshold | None = None
    temperature: float = Field(1.0, gt=0)
    origin: str = ""
    licence: str = ""
    weights_sha256: str = ""
    metrics: Mapping[str, float | None] = Field(default_factory=dict)
    versions: Mapping[str, str] = Field(default_factory=dict)

    @property
    def is_network(self) -> bool:
        """Whether torch runs it; everything else looks at single pixels."""
        return self.architecture not in get_args(PixelRule.__value__)

    def choose_bands(self, source: RasterSource, *, chosen: bool) -> RasterSource:
        """The scene with the model's bands, in the model's order.

        Args:
            source: the scene.
            chosen: whether the user chose the bands; then their names need not match, and neither
                need they where a file says how many bands it takes, but not which.

        Raises:
            ModelError: the scene lacks a band, or its pixels are of another kind.
        """
        names = [band.name for band in source.bands]
        found = [position(band, names) for band in self.bands]
        if None not in found:
            source = source.take(tuple(at for at in found if at is not None))
        elif not (chosen or self.architecture == "onnx") or len(names) != len(self.bands):
            raise ModelError(
                "the scene has other bands than the model",
                where=source.name,
                got=", ".join(names),
                wanted=", ".join(self.bands),
                fix="name the bands that correspond, in this order: --bands 3,2,1",
            )
        elif self.architecture == "onnx" and not chosen:
            logger.info("%s: takes the bands in their order: %s", source.name, ", ".join(names))
        if _kind(source.dtype) != _kind(np.dtype(self.dtype)):
            raise ModelError(
                "the scene has pixels of another range than the model was trained on",
                where=source.name,
                got=source.dtype,
                wanted=self.dtype,
                fix="bring it to the units of the training scenes first",
            )
        return source

    def check_gsd(self, source: RasterSource) -> None:
        """Refuse a scene whose pixels are of another size than the model's.

        Raises:
            ModelError: the ground sampling distances differ by more than a fifth, or the model
                does not say its own.
        """
        got = ground.gsd_m(source.geobox)
        if self.gsd_m is None:
            raise ModelError(
                "the model does not say for which pixel size it was made",
                where=source.name,
                got=f"{got:.3g} m",
                fix="--gsd scene predicts the scene as it is",
            )
        if not 1 / (1 + GSD_TOLERANCE) <= got / self.gsd_m <= 1 + GSD_TOLERANCE:
            raise ModelError(
                "the scene's pixels are of another size than the model's",
                where=source.name,
                got=f"{got:.3g} m",
                wanted=f"{self.gsd_m:.3g} m",
                fix="--gsd model resamples the scene, --gsd scene predicts it as it is",
            )


def read_spec(folder: Path) -> ModelSpec:
    """The spec of a model directory.

    Raises:
        ModelError: the folder is no model, or its spec is not one.
    """
    try:
        return ModelSpec.model_validate_json((folder / SPEC).read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(
            "is not a model directory", where=folder, got=error, fix="make one with geoseg train"
        ) from error


def _kind(dtype: np.dtype[np.generic]) -> str:
    """Pixels of one kind have comparable numbers: bytes, integers, or floats."""
    if dtype.kind == "f":
        return "floating"
    return "8 bit" if dtype.itemsize == 1 else "integer"
