"""A quick look at the pixels of a raster: a small sample from all over it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoseg.errors import RasterError
from geoseg.raster.block import validity
from geoseg.raster.file_source import declared_alpha, opaque_from
from geoseg.raster.handles import root_cause

SIDE = 512
"""Sides of a decimated read, at most."""
CELL = 64
"""Sides to which each block of a lattice is decimated."""
BUDGET = 40_000_000
"""Values decoded for a sample: about half a second."""


@dataclass(frozen=True, eq=False)
class PixelSample:
    """Pixels from all over a raster.

    Attributes:
        pixels: (bands, n, m), without alpha.
        valid: (n, m).
        opacity: (n, m), the alpha band if there is one.
    """

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]
    opacity: NDArray[Any] | None

    @property
    def edge(self) -> NDArray[np.bool_]:
        """(n, m): the outermost pixels."""
        inner = np.ones(self.valid.shape, dtype=bool)
        inner[1:-1, 1:-1] = False
        return inner


def sample_pixels(dataset: DatasetReader) -> PixelSample:
    """Sample a raster by a decimated read, or where that would take long, by a lattice of blocks.

    Raises:
        RasterError: a block on the way cannot be decoded.
    """
    shape = min(SIDE, dataset.height), min(SIDE, dataset.width)
    wanted = min(dataset.height / shape[0], dataset.width / shape[1])
    # GDAL reads from the coarsest overview that is still finer than what was asked for.
    factor = max(each for each in (1, *dataset.overviews(1)) if each <= max(1, wanted))
    try:
        if dataset.width * dataset.height * dataset.count <= BUDGET * factor**2:
            return _read(dataset, None, shape)
        return _lattice(dataset)
    except RasterioError as error:
        raise RasterError(
            "some of its pixels cannot be decoded", where=dataset.name, got=root_cause(error)
        ) from error


def _read(dataset: DatasetReader, window: Window | None, shape: tuple[int, int]) -> PixelSample:
    alpha = declared_alpha(dataset)
    indexes = [index for index in dataset.indexes if index != alpha]
    pixels = dataset.read(indexes, window=window, out_shape=(len(indexes), *shape))
    nodata = tuple(dataset.nodatavals[i - 1] for i in indexes)
    valid = validity(pixels, nodata)
    opacity = None
    if alpha is not None:
        opacity = dataset.read(alpha, window=window, out_shape=shape)
        valid &= opacity >= opaque_from(opacity.dtype)
    elif any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums):
        valid &= dataset.dataset_mask(window=window, out_shape=shape) > 0
    return PixelSample(pixels, valid, opacity)


def _lattice(dataset: DatasetReader) -> PixelSample:
    """Blocks from all over, including the outermost, each decimated to `CELL` pixels a side."""
    height, width = dataset.block_shapes[0]
    down, across = -(-dataset.height // height), -(-dataset.width // width)
    side = int(np.clip(np.sqrt(BUDGET / (height * width * dataset.count)), 2, 8))
    rows, cols = (
        np.unique(np.linspace(0, count - 1, side).astype(int)).tolist() for count in (down, across)
    )
    lines = [[_cell(dataset, row, col) for col in cols] for row in rows]
    pixels = np.concatenate([np.concatenate([c.pixels for c in line], 2) for line in lines], 1)
    valid = np.block([[cell.valid for cell in line] for line in lines])
    opacity = None
    if lines[0][0].opacity is not None:
        opacity = np.block([[cell.opacity for cell in line] for line in lines])
    return PixelSample(pixels, valid, opacity)


def _cell(dataset: DatasetReader, row: int, col: int) -> PixelSample:
    return _read(dataset, dataset.block_window(1, row, col), (CELL, CELL))
