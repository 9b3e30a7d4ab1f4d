"""What a quick look at pixels shows: how many are real, and fill that nobody declared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.errors import RasterioError
from rasterio.io import DatasetReader
from rasterio.windows import Window

from geoseg.errors import RasterError
from geoseg.raster.block import validity
from geoseg.raster.checks.blocks import root_cause
from geoseg.raster.file_source import OPAQUE
from geoseg.steps.info.entry import Problem, problem

SIDE = 512
CELL = 64
BUDGET = 40_000_000
"""Values decoded for a look: about half a second."""
MANY = 64
FEW_VALUES = 16
COLLAR, CLEAR_COLLAR = 0.05, 0.5
"""Share of the border one value fills: where nothing says what is valid, where something does."""
COLLAR_SHARE = 0.001
FILLS = (-9999.0, -32767.0, -32768.0, -99999.0, float(np.finfo(np.float32).min))


@dataclass(frozen=True, eq=False)
class Sample:
    """Pixels from all over a raster.

    Attributes:
        pixels: (bands, n, m), without alpha.
        valid: (n, m).
        opacity: (n, m), the alpha band where there is one.
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


def sample(dataset: DatasetReader) -> Sample:
    """Look at a decimated read, or at blocks from all over where that would take long.

    Raises:
        RasterError: a block on the way cannot be decoded.
    """
    shape = min(SIDE, dataset.height), min(SIDE, dataset.width)
    wanted = min(dataset.height / shape[0], dataset.width / shape[1])
    factor = max(each for each in (1, *dataset.overviews(1)) if each <= max(1, wanted))
    try:
        if dataset.width * dataset.height * dataset.count <= BUDGET * factor**2:
            return _read(dataset, None, shape)
        return _lattice(dataset)
    except RasterioError as error:
        raise RasterError(
            "some of its pixels cannot be decoded", where=dataset.name, got=root_cause(error)
        ) from error


def problems(dataset: DatasetReader, seen: Sample) -> list[Problem]:
    """Rows about validity and values."""
    if not seen.valid.any():
        return [_nothing_valid(seen)]
    rows = _not_finite(dataset, seen) + _fill(dataset, seen) + _constant(seen)
    return rows + _hidden_alpha(dataset, seen) + _nodata_range(dataset)


def _nothing_valid(seen: Sample) -> Problem:
    text, fix = "no pixel looked at is valid", None
    if seen.opacity is not None and seen.opacity.any():
        text += (
            f": alpha reaches {seen.opacity.max():g}, and opaque means half of what its dtype can"
        )
        fix = "scale the alpha band, or leave it out with gdal_translate -b"
    return problem("no-valid-pixel", "warning", text, fix)


def _read(dataset: DatasetReader, window: Window | None, shape: tuple[int, int]) -> Sample:
    alpha = dataset.count > 1 and dataset.colorinterp[-1] == ColorInterp.alpha
    indexes = list(dataset.indexes[:-1] if alpha else dataset.indexes)
    pixels = dataset.read(indexes, window=window, out_shape=(len(indexes), *shape))
    nodata = tuple(dataset.nodatavals[i - 1] for i in indexes)
    valid = validity(pixels, nodata)
    opacity = None
    if alpha:
        opacity = dataset.read(dataset.count, window=window, out_shape=shape)
        top = np.iinfo(opacity.dtype).max if opacity.dtype.kind in "ui" else 1
        valid &= opacity >= OPAQUE / 255 * top
    elif any(MaskFlags.per_dataset in flags for flags in dataset.mask_flag_enums):
        valid &= dataset.dataset_mask(window=window, out_shape=shape) > 0
    return Sample(pixels, valid, opacity)


def _lattice(dataset: DatasetReader) -> Sample:
    """Blocks from all over, the outermost included, each brought to `CELL` pixels a side."""
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
    return Sample(pixels, valid, opacity)


def _cell(dataset: DatasetReader, row: int, col: int) -> Sample:
    return _read(dataset, dataset.block_window(1, row, col), (CELL, CELL))


def _share(mask: NDArray[np.bool_]) -> str:
    share = float(mask.mean())
    return f"{share:.1%}" if share >= 0.001 else f"{int(mask.sum())} of {mask.size} looked at"


def _not_finite(dataset: DatasetReader, seen: Sample) -> list[Problem]:
    if seen.pixels.dtype.kind != "f":
        return []
    rows = []
    infinite = np.isinf(seen.pixels).any(axis=0)
    missing = np.isnan(seen.pixels).any(axis=0)
    declared = any(value is not None and np.isnan(value) for value in dataset.nodatavals)
    if missing.any() and not declared:
        text = f"NaN in {_share(missing)} of the pixels; they count as no data"
        rows.append(problem("nan", "note", text, "gdal_edit -a_nodata nan says so to all programs"))
    if infinite.any():
        text = f"infinite values in {_share(infinite)} of the pixels; they count as no data"
        rows.append(problem("infinite", "warning", text, "look at how the file was made"))
    return rows


def _fill(dataset: DatasetReader, seen: Sample) -> list[Problem]:
    """Values that look like "no data" among the pixels that count as measurements."""
    pixels, kind = seen.pixels, seen.pixels.dtype.kind
    if kind not in "iuf":
        return []
    for value in _fills(pixels.dtype):
        fill = (pixels == value).any(axis=0) & seen.valid
        if fill.any():
            return [_fill_row(dataset, value, fill, seen)]
    if len(np.unique(pixels[:, ::4, ::4])) <= FEW_VALUES:
        return []
    declared = dataset.mask_flag_enums[0] != [MaskFlags.all_valid]
    for value in (0.0, float(np.iinfo(pixels.dtype).max)) if kind == "u" else (0.0,):
        fill = (pixels == value).all(axis=0) & seen.valid
        collar = fill[seen.edge].mean() >= (CLEAR_COLLAR if declared else COLLAR)
        if collar and fill.mean() >= COLLAR_SHARE:
            return [_fill_row(dataset, value, fill, seen)]
    return []


def _fills(dtype: np.dtype[Any]) -> tuple[float, ...]:
    """Numbers that no sensor returns, of those the dtype can hold."""
    if dtype.kind == "f":
        return FILLS
    limits = np.iinfo(dtype)
    return tuple(v for v in FILLS if limits.min <= v <= limits.max and dtype.kind == "i")


def _fill_row(
    dataset: DatasetReader, value: float, fill: NDArray[np.bool_], seen: Sample
) -> Problem:
    tag = "no nodata value is set"
    if dataset.nodata is not None:
        tag = f"the nodata value is {dataset.nodata:g}"
    return problem(
        "undeclared-nodata",
        "warning",
        f"{tag}, but {value:g} fills {_share(fill)} of the pixels, "
        f"{fill[seen.edge].mean():.0%} of those along the border",
        f"if that means no data: --nodata {value:g}, or gdal_edit -a_nodata {value:g}",
    )


def _constant(seen: Sample) -> list[Problem]:
    real = seen.pixels[:, seen.valid]
    if real.shape[1] < MANY:
        return []
    same = np.flatnonzero((real == real[:, :1]).all(axis=1))
    if not same.size:
        return []
    listed = ", ".join(f"band {i + 1} is {real[i, 0]:g}" for i in same[:8])
    text = f"{same.size} of {len(real)} bands hold one value everywhere: {listed}"
    return [problem("constant", "warning", text, "leave them out: --bands")]


def _hidden_alpha(dataset: DatasetReader, seen: Sample) -> list[Problem]:
    if dataset.count not in (2, 4) or seen.opacity is not None or set(dataset.dtypes) != {"uint8"}:
        return []
    last = seen.pixels[-1]
    if dataset.colorinterp[-1] != ColorInterp.undefined or not np.isin(last, (0, 255)).all():
        return []
    return [
        problem(
            "hidden-alpha",
            "warning",
            "its last band holds only 0 and 255, as an alpha band would, but is not marked as one; "
            f"{float((last == 0).mean()):.1%} of it is 0",
            f"gdal_edit -colorinterp_{dataset.count} alpha",
        )
    ]


def _nodata_range(dataset: DatasetReader) -> list[Problem]:
    kind, value = np.dtype(dataset.dtypes[0]), dataset.nodata
    if value is None or kind.kind not in "iu":
        return []
    limits = np.iinfo(kind)
    if float(value).is_integer() and limits.min <= value <= limits.max:
        return []
    text = f"its nodata value, {value:g}, is none that {kind} can hold"
    return [problem("nodata-range", "warning", text, "gdal_edit -a_nodata")]
