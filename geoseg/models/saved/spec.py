"""The contract of a model, saved with its weights and enforced before a pixel is predicted."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from geoseg import ground
from geoseg.classes import ClassScheme
from geoseg.errors import ModelError
from geoseg.layout import MODEL_SPEC
from geoseg.models.architectures import Architecture, Features, PixelwiseName
from geoseg.models.band_names import IndexName, position
from geoseg.raster import RasterSource
from geoseg.raster.block import repeated

logger = logging.getLogger(__name__)
GSD_TOLERANCE = 0.2
"""By what fraction the pixel sizes of a scene and a model may differ."""


class Threshold(BaseModel):
    """A map of two classes from an index, (first - second) / (first + second).

    Attributes:
        index: name of the index.
        bands: names of the first and the second band.
        at: value of the index at which the class changes.
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
        architecture: network or pixelwise classifier; "onnx" is a network that another program
            wrote into a file.
        backbone: encoder of the network.
        bands: names of the input bands, in order.
        dtype: dtype of the training pixels.
        mean: mean of each band; inputs are (pixel - mean) / std, and 0 where not valid.
        std: standard deviation of each band; 0 for a constant band, which is only centred.
        gsd_m: ground sampling distance in metres; None where a file does not state it.
        scheme: the classes, by id.
        stride: total downsampling of the network; cores and halos are multiples of it.
        halo: pixels of context that predictions need around a core.
        window: side in pixels of the best windows; None if any will do.
        side: side in pixels of the only windows, halo included, that the network takes; None if it
            takes any.
        features: features of a forest or an SVM.
        threshold: index and value of a threshold.
        temperature: divisor of the logits; of classifiers without logits, of the logarithms of
            their probabilities.
        origin: initial weights of the training, or where the model comes from.
        licence: licence of these.
        weights_sha256: hash of the weights file; empty for thresholds, which have none.
        metrics: scores of the validation chips.
        versions: versions of the packages that trained it.
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

    @field_validator("bands")
    @classmethod
    def _named_once(cls, bands: tuple[str, ...]) -> tuple[str, ...]:
        if repeated(bands):
            raise ValueError(f"several bands are called {', '.join(repeated(bands))}")
        return bands

    @property
    def is_network(self) -> bool:
        """Whether it is a network; everything else classifies single pixels."""
        return self.architecture not in get_args(PixelwiseName)

    def choose_bands(self, source: RasterSource, *, chosen: bool) -> RasterSource:
        """Take the model's bands of a scene, in the model's order.

        Args:
            source: scene with at least these bands.
            chosen: whether the user chose the bands. Then their names need not match; nor need
                they for an ONNX file, which states how many bands it takes, but not which.

        Raises:
            ModelError: the scene lacks a band, or has another kind of pixels.
        """
        names = [band.name for band in source.bands]
        found = [position(band, names) for band in self.bands]
        if None not in found and len(set(found)) == len(found):
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
            logger.info("%s: bands are taken in order: %s", source.name, ", ".join(names))
        if _kind(source.dtype) != _kind(np.dtype(self.dtype)):
            raise ModelError(
                "the pixels of the scene have another range than those of the training",
                where=source.name,
                got=source.dtype,
                wanted=self.dtype,
                fix="convert it to the units of the training scenes first",
            )
        return source

    def check_gsd(self, source: RasterSource) -> None:
        """Refuse a scene with another pixel size than the model's.

        Raises:
            ModelError: the pixel sizes differ by more than a fifth, or the model does not state
                its own.
        """
        got = ground.gsd_m(source.geobox)
        if self.gsd_m is None:
            raise ModelError(
                "the model does not state its pixel size",
                where=source.name,
                got=f"{got:.3g} m",
                fix="--gsd scene predicts the scene as it is",
            )
        if not 1 / (1 + GSD_TOLERANCE) <= got / self.gsd_m <= 1 + GSD_TOLERANCE:
            raise ModelError(
                "the scene has another pixel size than the model",
                where=source.name,
                got=f"{got:.3g} m",
                wanted=f"{self.gsd_m:.3g} m",
                fix="--gsd model resamples the scene, --gsd scene predicts it as it is",
            )


def read_spec(folder: Path) -> ModelSpec:
    """Read the spec of a model directory.

    Raises:
        ModelError: the folder is not a model directory, or its spec is damaged.
    """
    try:
        return ModelSpec.model_validate_json((folder / MODEL_SPEC).read_bytes())
    except (OSError, ValidationError) as error:
        raise ModelError(
            "is not a model directory", where=folder, got=error, fix="make one with geoseg train"
        ) from error


def _kind(dtype: np.dtype[np.generic]) -> str:
    """Bytes, integers or floats: pixels of one kind have comparable numbers."""
    if dtype.kind == "f":
        return "floating"
    return "8 bit" if dtype.itemsize == 1 else "integer"
