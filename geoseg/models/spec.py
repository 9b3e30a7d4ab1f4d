"""What a model was made for; saved with its weights and enforced before a pixel is predicted."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.errors import ModelError
from geoseg.raster import RasterSource

type Architecture = Literal["unet", "deeplabv3+", "fcn", "upernet", "segformer"]

SPEC = "spec.json"
GSD_TOLERANCE = 0.2


class ModelSpec(BaseModel):
    """The contract between training and prediction.

    Attributes:
        architecture: the network.
        backbone: its encoder.
        bands: names of the input bands, in order.
        dtype: of the pixels it was trained on.
        mean: by band, of the training pixels; inputs are (pixel - mean) / std, invalid ones 0.
        std: by band.
        gsd_m: ground sampling distance in metres.
        scheme: the classes, by id.
        stride: the network's total downsampling; cores and halos are multiples of it.
        halo: pixels it should see around what it maps.
        weights_sha256: of the weights file.
        metrics: of the validation blocks.
        versions: of what trained it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: Architecture
    backbone: str
    bands: tuple[str, ...]
    dtype: str
    mean: tuple[float, ...]
    std: tuple[float, ...]
    gsd_m: float = Field(gt=0)
    scheme: ClassScheme
    stride: int = Field(ge=1)
    halo: int = Field(ge=0)
    weights_sha256: str
    metrics: Mapping[str, float | None]
    versions: Mapping[str, str]

    def choose_bands(self, source: RasterSource, *, chosen: bool) -> RasterSource:
        """The scene with the model's bands, in the model's order.

        Args:
            source: the scene.
            chosen: whether the user chose the bands; then their names need not match.

        Raises:
            ModelError: the scene lacks a band, or its pixels are of another kind.
        """
        names = [band.name for band in source.bands]
        if all(band in names for band in self.bands):
            source = source.take(tuple(names.index(band) for band in self.bands))
        elif not chosen or len(names) != len(self.bands):
            raise ModelError(
                "the scene has other bands than the model",
                where=source.name,
                got=", ".join(names),
                wanted=", ".join(self.bands),
                fix="name the bands that correspond, in this order: --bands 3,2,1",
            )
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
            ModelError: the ground sampling distances differ by more than a fifth.
        """
        got = grid.gsd_m(source.geobox)
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
