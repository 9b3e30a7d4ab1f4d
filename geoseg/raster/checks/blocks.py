"""Whether the blocks of a raster can be decoded: a few of them by default, or all."""

from __future__ import annotations

import warnings
from dataclasses import replace
from pathlib import Path

from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoseg.errors import RasterError
from geoseg.problems import Problem
from geoseg.progress import track
from geoseg.raster.handles import root_cause

MAX_OFFSETS = 100_000
"""Block offsets looked up in a file, at about 10 us each; larger files are sampled evenly."""


def block_problems(path: Path, dataset: DatasetReader, *, deep: bool) -> list[Problem]:
    """At most one problem: blocks beyond the end of the file, or blocks that cannot be decoded.

    Args:
        path: the file.
        dataset: the file, opened.
        deep: decode every block instead of the first and the last.
    """
    missing = _beyond_the_end(path, dataset) if dataset.driver == "GTiff" else []
    if missing:
        return missing
    return _read_all(dataset) if deep else _read_corners(dataset)


def corrupt(error: RasterError) -> Problem:
    """The problem of blocks that cannot be decoded."""
    message = str(RasterError(error.what, got=error.got))
    return Problem("corrupt", "error", message, "fetch the file again")


def _beyond_the_end(path: Path, dataset: DatasetReader) -> list[Problem]:
    """Compare where the blocks of a GeoTIFF end with the size of the file.

    A file cut short in transfer still opens, as its header comes first. GDAL gives a block's place
    in the metadata domain TIFF (https://gdal.org/en/stable/drivers/raster/gtiff.html); a block
    that a sparse file does not store has none.
    """
    size = path.stat().st_size
    height, width = dataset.block_shapes[0]
    down, across = -(-dataset.height // height), -(-dataset.width // width)
    bands = dataset.indexes if dataset.interleaving == Interleaving.band else (1,)
    step = max(1, down * across * len(bands) // MAX_OFFSETS)
    beyond, wanted, first = 0, size, ""
    for number in range(0, down * across, step):
        row, col = divmod(number, across)
        for band in bands:
            offset = dataset.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=band)
            length = dataset.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=band)
            end = int(offset or 0) + int(length or 0)
            if end > size:
                beyond, wanted = beyond + 1, max(wanted, end)
                first = first or f"row {row * height}, column {col * width}"
    if not beyond:
        return []
    return [
        Problem(
            "truncated",
            "error",
            f"the file ends too early: {size} bytes, and at least {wanted} are needed; "
            f"the first missing block starts at {first}",
            "fetch the file again",
        )
    ]


def _read_corners(dataset: DatasetReader) -> list[Problem]:
    rows, cols = dataset.height, dataset.width
    height, width = dataset.block_shapes[0]
    last_row, last_col = (rows - 1) // height * height, (cols - 1) // width * width
    for row, col in {(0, 0), (last_row, last_col)}:
        window = Window(col, row, min(width, cols - col), min(height, rows - row))
        if error := _failure(dataset, window):
            return [corrupt(error)]
    return []


def _read_all(dataset: DatasetReader) -> list[Problem]:
    windows = [window for _, window in dataset.block_windows(1)]
    errors = [
        error
        for window in track(windows, label="reading blocks", total=len(windows))
        if (error := _failure(dataset, window))
    ]
    if not errors:
        return []
    first = corrupt(errors[0])
    counted = f"{len(errors)} of {len(windows)} blocks are broken; {first.message}"
    return [replace(first, message=counted)]


def _failure(dataset: DatasetReader, window: Window) -> RasterError | None:
    """Why a window cannot be decoded; None if it can."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            dataset.read(window=window)
    except RasterioError as error:
        (top, bottom), (left, right) = window.toranges()
        return RasterError(
            f"rows {top}-{bottom}, columns {left}-{right} cannot be decoded", got=root_cause(error)
        )
    return None
