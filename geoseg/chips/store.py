"""The chip directory: plain arrays to train from, an index to choose by, a footprint layer to see.

images.npy   (chips, bands, size, size), the scenes' dtype
valid.npy    (chips, size, size) bool
labels.npy   (chips, size, size) uint8, 255 where unlabelled or not valid
chips.gpkg   one footprint per chip: scene, row, col, block, split, pixels by class
chips.json   size, bands, pixel size, class scheme, statistics, scenes
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import pyogrio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, ValidationError

from geoseg.classes import ClassScheme
from geoseg.errors import ChipsError
from geoseg.grid import Window

type SplitName = Literal["train", "val", "test"]

INDEX = "chips.gpkg"
SPEC = "chips.json"
FILES = ("images.npy", "valid.npy", "labels.npy", INDEX, SPEC)


class SceneGrid(BaseModel):
    """The grid a scene's windows count on.

    Attributes:
        name: the scene, as it was given.
        crs: WKT.
        transform: the six numbers of the affine transform, in rasterio's order.
        shape: (height, width).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    crs: str
    transform: tuple[float, float, float, float, float, float]
    shape: tuple[int, int]

    @property
    def geobox(self) -> GeoBox:
        """The grid."""
        return GeoBox(self.shape, Affine(*self.transform), self.crs)


class BandStatistics(BaseModel):
    """Of the valid pixels of the training chips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    mean: float
    std: float
    min: float
    max: float


class ChipSpec(BaseModel):
    """What a chip set is made of.

    Attributes:
        size: side of a chip in pixels.
        dtype: of the images.
        gsd_m: ground sampling distance in metres, the mean over the scenes.
        scheme: the classes.
        bands: names and statistics.
        scenes: the grids the chips were cut from.
        pixels: labelled pixels by split and class id.
        block: side in pixels of the blocks that were held out whole.
        buffer: pixels between training and held-out chips.
        overlap_m2: area shared by training and held-out chips; always 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    dtype: str
    gsd_m: float
    scheme: ClassScheme
    bands: tuple[BandStatistics, ...]
    scenes: tuple[SceneGrid, ...]
    pixels: dict[str, tuple[int, ...]]
    block: int
    buffer: int
    overlap_m2: float


@dataclass(frozen=True)
class ChipSet:
    """An opened chip directory; arrays are memory-mapped, never loaded whole.

    Attributes:
        folder: the directory.
        spec: what it holds.
    """

    folder: Path
    spec: ChipSpec

    @cached_property
    def images(self) -> NDArray[Any]:
        """(chips, bands, size, size); where not valid the numbers mean nothing."""
        return _mapped(self.folder / "images.npy")

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(chips, size, size)."""
        return _mapped(self.folder / "valid.npy")

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """(chips, size, size): class ids, 255 where nothing is known."""
        return _mapped(self.folder / "labels.npy")

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per chip: scene, row, col, block, split, and pixels by class id."""
        table: pd.DataFrame = pyogrio.read_dataframe(self.folder / INDEX, read_geometry=False)
        return table

    def positions(self, split: SplitName) -> NDArray[np.intp]:
        """Which chips belong to a split."""
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def windows(self, scene: int, split: SplitName) -> list[Window]:
        """The windows of a scene's chips in a split."""
        rows = self.index[(self.index["scene"] == scene) & (self.index["split"] == split)]
        size = self.spec.size
        return [
            Window(int(r), int(c), size, size)
            for r, c in zip(rows["row"], rows["col"], strict=True)
        ]


def _mapped(path: Path) -> NDArray[Any]:
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    return array


def open_chips(folder: Path) -> ChipSet:
    """Open a chip directory.

    Raises:
        ChipsError: it is not one, or its arrays do not fit together.
    """
    try:
        spec = ChipSpec.model_validate_json((folder / SPEC).read_bytes())
        chips = ChipSet(folder, spec)
        count = len(chips.index)
        shapes = [chips.images.shape, chips.valid.shape, chips.labels.shape]
    except (OSError, ValueError, ValidationError) as error:
        raise ChipsError(
            "is not a chip directory", where=folder, got=error, fix="make one with geoseg tile"
        ) from error
    side = (spec.size, spec.size)
    wanted = [(count, len(spec.bands), *side), (count, *side), (count, *side)]
    if shapes != wanted:
        raise ChipsError("its arrays do not fit together", where=folder, got=shapes, wanted=wanted)
    return chips
