"""Can the blocks of a raster be decoded? Cheaply by default, every one of them when asked."""

from __future__ import annotations

import warnings
from pathlib import Path

from rasterio.enums import Interleaving
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoseg.errors import RasterError
from geoseg.progress import track
from geoseg.steps.info.entry import Problem, problem

MAX_OFFSETS = 100_000


def problems(path: Path, dataset: DatasetReader, *, deep: bool) -> list[Problem]:
    """At most one row: blocks beyond the end of the file, or blocks that cannot be decoded."""
    missing = _beyond_the_end(path, dataset) if dataset.driver == "GTiff" else []
    if missing:
        return missing
    if deep:
        return _read_all(dataset)
    rows, cols = dataset.height, dataset.width
    height, width = dataset.block_shapes[0]
    last_row, last_col = (rows - 1) // height * height, (cols - 1) // width * width
    for row, col in {(0, 0), (last_row, last_col)}:
        error = _try(dataset, Window(col, row, min(width, cols - col), min(height, rows - row)))
        if error:
            return [corrupt(error)]
    return []


def corrupt(error: RasterError) -> Problem:
    """The row for blocks that cannot be decoded."""
    return problem(
        "corrupt", "error", str(RasterError(error.what, got=error.got)), "fetch the file again"
    )


def root_cause(error: BaseException) -> str:
    """What GDAL said first; rasterio's own message often only points to it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error)


def _beyond_the_end(path: Path, dataset: DatasetReader) -> list[Problem]:
    """A file cut in transfer still opens; where its blocks should end says how much is missing."""
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
        problem(
            "truncated",
            "error",
            f"the file ends too early: {size} bytes, and at least {wanted} are needed; "
            f"the first block missing starts at {first}",
            "fetch the file again",
        )
    ]


def _read_all(dataset: DatasetReader) -> list[Problem]:
    windows = [window for _, window in dataset.block_windows(1)]
    errors = [
        error
        for window in track(windows, label="reading blocks", total=len(windows))
        if (error := _try(dataset, window))
    ]
    if not errors:
        return []
    row = corrupt(errors[0])
    row["message"] = f"{len(errors)} of {len(windows)} blocks are broken; {row['message']}"
    return [row]


def _try(dataset: DatasetReader, window: Window) -> RasterError | None:
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
