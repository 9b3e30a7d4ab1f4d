"""The chip directory: plain arrays to train on, and an index that opens in a GIS.

images.npy   (chips, bands, size, size), the scenes' dtype
valid.npy    (chips, size, size) bool
labels.npy   (chips, size, size) uint8, 255 where unlabelled or not valid
chips.gpkg   one footprint per chip: scene, row, col, block, splits, valid share, pixels by class
chips.json   size, bands, pixel size, class scheme, statistics, scenes, folds
run.json     inputs, options, and the sha256 of each file

Files are not trusted: nothing in them is executed, headers and sizes are checked before an array is
mapped, and `ChipSet.verify` compares every byte with the hashes.
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
from pydantic import BaseModel, ConfigDict, field_validator

from geoseg import files
from geoseg.chips.chip_arrays import ChipArrays
from geoseg.classes import ClassScheme
from geoseg.errors import ChipsError, ConfigError
from geoseg.grid import Window
from geoseg.job.record import read_record
from geoseg.layout import (
    CHIP_FILES,
    CHIP_IMAGES,
    CHIP_INDEX,
    CHIP_LABELS,
    CHIP_SPEC,
    CHIP_VALID,
    RECORD,
)
from geoseg.raster.block import repeated

type SplitName = Literal["train", "val", "test"]

AGAIN = "run geoseg tile again"


class SceneGrid(BaseModel):
    """The pixel grid of a scene.

    Attributes:
        name: the scene, as it was given.
        crs: CRS as WKT.
        transform: six numbers of the affine transform, in rasterio's order.
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
    """Statistics of the valid pixels of the training chips."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    mean: float
    std: float
    min: float
    max: float


class Fold(BaseModel):
    """What differs from fold to fold.

    Attributes:
        bands: band names, and statistics of the fold's training chips.
        pixels: labelled pixels by split and class id.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    bands: tuple[BandStatistics, ...]
    pixels: dict[str, tuple[int, ...]]


class ChipSpec(BaseModel):
    """The content of chips.json.

    Attributes:
        size: side of a chip in pixels.
        dtype: dtype of the images.
        gsd_m: ground sampling distance in metres, the mean over the scenes.
        scheme: the classes.
        bands: band names, and statistics of the training chips.
        scenes: grids of the scenes, by index.
        pixels: labelled pixels by split and class id; those of the first fold if there are folds.
        folds: what differs from fold to fold; empty without folds.
        block: side in pixels of the blocks that are held out as a whole.
        buffer: pixels between training and held-out chips.
        overlap_m2: overlap of training, validation and test chips in square metres; always 0.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    size: int
    dtype: str
    gsd_m: float
    scheme: ClassScheme
    bands: tuple[BandStatistics, ...]
    scenes: tuple[SceneGrid, ...]
    pixels: dict[str, tuple[int, ...]]
    folds: tuple[Fold, ...] = ()
    block: int
    buffer: int
    overlap_m2: float

    @field_validator("bands")
    @classmethod
    def _named_once(cls, bands: tuple[BandStatistics, ...]) -> tuple[BandStatistics, ...]:
        twice = repeated([band.name for band in bands])
        if twice:
            raise ValueError(f"several bands are called {', '.join(twice)}")
        return bands


@dataclass(frozen=True)
class ChipSet:
    """An opened chip directory; arrays are memory-mapped, never loaded whole.

    It pickles as its folder: another process maps the files itself. An array whose file is missing
    or shorter than the chips need raises ChipsError when it is first used.

    Attributes:
        folder: the directory.
        spec: content of chips.json, with the statistics and pixel counts of the fold.
        fold: fold whose splits are used, from 1; None without folds.
    """

    folder: Path
    spec: ChipSpec
    fold: int | None = None

    @cached_property
    def images(self) -> NDArray[Any]:
        """(chips, bands, size, size), as stored; meaningless where not valid."""
        side = self.spec.size
        shape = (len(self.index), len(self.spec.bands), side, side)
        return _mapped(self.folder / CHIP_IMAGES, shape, self.spec.dtype)

    @cached_property
    def valid(self) -> NDArray[np.bool_]:
        """(chips, size, size)."""
        return _mapped(self.folder / CHIP_VALID, self._plane, "bool")

    @cached_property
    def labels(self) -> NDArray[np.uint8]:
        """(chips, size, size) class ids, 255 where unlabelled."""
        return _mapped(self.folder / CHIP_LABELS, self._plane, "uint8")

    @cached_property
    def index(self) -> pd.DataFrame:
        """One row per chip: scene, row, col, block, split, valid fraction, pixels by class id."""
        table: pd.DataFrame = pyogrio.read_dataframe(self.folder / CHIP_INDEX, read_geometry=False)
        if self.fold is not None:
            table["split"] = table[f"split_{self.fold}"]
        return table

    @cached_property
    def pixels(self) -> NDArray[np.int64]:
        """(chips, classes) labelled pixels, from the index."""
        columns = [f"pixels_{i}" for i in range(len(self.spec.scheme.classes))]
        return self.index[columns].to_numpy(dtype=np.int64)

    def positions(self, split: SplitName) -> NDArray[np.intp]:
        """Indices of the chips of a split."""
        return np.flatnonzero(self.index["split"].to_numpy() == split)

    def arrays(self, split: SplitName) -> ChipArrays:
        """Pixels, validity and labels of the chips of a split."""
        return ChipArrays(self.images, self.valid, self.labels, self.positions(split))

    def place(self, chip: int) -> tuple[int, Window]:
        """The scene of a chip, and its window there."""
        scene, row, col = self.index[["scene", "row", "col"]].to_numpy(dtype=np.int64)[chip]
        return int(scene), Window(int(row), int(col), self.spec.size, self.spec.size)

    def windows(self, scene: int, split: SplitName) -> list[Window]:
        """The windows of a scene's chips in a split."""
        rows = self.index[(self.index["scene"] == scene) & (self.index["split"] == split)]
        size = self.spec.size
        return [
            Window(int(r), int(c), size, size)
            for r, c in zip(rows["row"], rows["col"], strict=True)
        ]

    def verify(self) -> None:
        """Compare every byte with the hashes in run.json.

        Raises:
            ChipsError: a file has changed since the chips were cut, or there is no record.
        """
        record = read_record(self.folder / RECORD)
        if record is None:
            raise ChipsError("has no record of its files", where=self.folder / RECORD, fix=AGAIN)
        for name in CHIP_FILES:
            got = files.sha256(self.folder / name)
            if got != record.outputs.get(name):
                raise ChipsError(
                    "has changed since geoseg tile wrote it",
                    where=self.folder / name,
                    got=f"sha256 {got[:12]}",
                    wanted=str(record.outputs.get(name))[:12],
                    fix=AGAIN,
                )

    @property
    def _plane(self) -> tuple[int, ...]:
        return len(self.index), self.spec.size, self.spec.size

    def __reduce__(self) -> tuple[Any, ...]:
        return open_chips, (self.folder, self.fold)


def open_chips(folder: Path, fold: int | None = None) -> ChipSet:
    """Open a chip directory.

    Args:
        folder: the directory.
        fold: fold whose splits to use, from 1; by default the first, if there are folds.

    Raises:
        ChipsError: the folder is not a chip directory, or its files are torn or inconsistent.
        ConfigError: there is no such fold.
    """
    try:
        spec = ChipSpec.model_validate_json((folder / CHIP_SPEC).read_bytes())
        spec, fold = _of_fold(folder, spec, fold)
        chips = ChipSet(folder, spec, fold)
        _check_index(chips)
        _ = chips.images, chips.valid, chips.labels
    except (OSError, ValueError, KeyError, pyogrio.errors.DataSourceError) as error:
        raise ChipsError(
            "is not a chip directory", where=folder, got=error, fix="make one with geoseg tile"
        ) from error
    return chips


def _of_fold(folder: Path, spec: ChipSpec, fold: int | None) -> tuple[ChipSpec, int | None]:
    if not spec.folds and fold is None:
        return spec, None
    number = 1 if fold is None else fold
    if not 1 <= number <= len(spec.folds):
        wanted = f"1 to {len(spec.folds)}" if spec.folds else "none: the chips have no folds"
        raise ConfigError("there is no such fold", where=folder, got=number, wanted=wanted)
    chosen = spec.folds[number - 1]
    return spec.model_copy(update={"bands": chosen.bands, "pixels": chosen.pixels}), number


def _check_index(chips: ChipSet) -> None:
    index, spec = chips.index, chips.spec
    whole = index[["scene", "row", "col"]].to_numpy(dtype=np.int64)
    sane = len(whole) > 0 and (whole >= 0).all() and (whole[:, 0] < len(spec.scenes)).all()
    on_grid = not (whole[:, 1:] % spec.size).any()
    if not (sane and on_grid and len(np.unique(whole, axis=0)) == len(whole)):
        raise ChipsError(
            "its rows do not describe chips", where=chips.folder / CHIP_INDEX, fix=AGAIN
        )
    if (chips.pixels < 0).any() or (chips.pixels.sum(axis=1) > spec.size**2).any():
        raise ChipsError(
            "counts more pixels than chips", where=chips.folder / CHIP_INDEX, fix=AGAIN
        )


def _mapped(path: Path, shape: tuple[int, ...], dtype: str) -> NDArray[Any]:
    """Map an array into memory, if header and size agree with chips.json and the index."""
    wanted = np.dtype(dtype)
    with path.open("rb") as stream:
        version = np.lib.format.read_magic(stream)
        # geoseg writes version 1.0 only; later ones allow headers of any length
        read = {(1, 0): np.lib.format.read_array_header_1_0}.get(version)
        got_shape, by_columns, got = read(stream) if read else ((), True, np.dtype("V"))
        held = path.stat().st_size - stream.tell()
    needed = int(np.prod(shape)) * wanted.itemsize
    if (got_shape, got, by_columns) != (shape, wanted, False) or held != needed:
        raise ChipsError(
            "is torn, or does not belong to the chips",
            where=path,
            got=f"{got_shape} {got}, {held} bytes",
            wanted=f"{shape} {wanted}, {needed} bytes",
            fix=AGAIN,
        )
    array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False).view(np.ndarray)
    return array
