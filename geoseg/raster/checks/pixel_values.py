"""Pixel values that could spoil a result, above all fill values that the file does not declare."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from geoseg.problems import Problem
from geoseg.raster.checks.pixel_sample import PixelSample
from geoseg.raster.file_source import opaque_from

MIN_CONSTANT_PX = 64
"""Fewer pixels may well be equal by chance."""
FEW_VALUES = 16
"""Rasters with fewer distinct values are maps, in which 0 or 255 is most likely a class."""
COLLAR, CLEAR_COLLAR = 0.05, 0.5
"""Share of the border that one value fills before it is taken for a collar: in files that declare
nothing about validity, and in files that do."""
MIN_COLLAR_SHARE = 0.001
"""Share of all pixels below which a collar is not worth a warning."""
FILLS = (-9999.0, -32767.0, -32768.0, -99999.0, float(np.finfo(np.float32).min))
"""Customary nodata values that no sensor returns; float32's lowest is ArcGIS's default."""


def pixel_problems(dataset: DatasetReader, sample: PixelSample) -> list[Problem]:
    """Problems with validity and values, in a sample of the raster's pixels."""
    if not sample.valid.any():
        return [_nothing_valid(sample)]
    return [
        *_not_finite(dataset, sample),
        *_fill(dataset, sample),
        *_constant(sample),
        *_hidden_alpha(dataset, sample),
        *_nodata_range(dataset),
    ]


def _nothing_valid(sample: PixelSample) -> Problem:
    text, fix = "no sampled pixel is valid", None
    if sample.opacity is not None and sample.opacity.any():
        opaque = opaque_from(sample.opacity.dtype)
        text += f": alpha reaches {sample.opacity.max():g}, and counts as opaque from {opaque:g}"
        fix = "scale the alpha band, or leave it out with gdal_translate -b"
    return Problem("no-valid-pixel", "warning", text, fix)


def _share(mask: NDArray[np.bool_]) -> str:
    share = float(mask.mean())
    return f"{share:.1%}" if share >= 0.001 else f"{int(mask.sum())} of {mask.size} sampled"


def _not_finite(dataset: DatasetReader, sample: PixelSample) -> list[Problem]:
    if sample.pixels.dtype.kind != "f":
        return []
    found = []
    infinite = np.isinf(sample.pixels).any(axis=0)
    missing = np.isnan(sample.pixels).any(axis=0)
    declared = any(value is not None and np.isnan(value) for value in dataset.nodatavals)
    if missing.any() and not declared:
        text = f"NaN in {_share(missing)} of the pixels; they count as no data"
        found.append(
            Problem("nan", "note", text, "gdal_edit -a_nodata nan declares it for all programs")
        )
    if infinite.any():
        text = f"infinite values in {_share(infinite)} of the pixels; they count as no data"
        found.append(Problem("infinite", "warning", text, "check how the file was made"))
    return found


def _fill(dataset: DatasetReader, sample: PixelSample) -> list[Problem]:
    """A value that looks like "no data" among the pixels that count as measured.

    A customary nodata value gives itself away with a single pixel. Zero and white are also what
    shadows and clouds look like, so they have to fill a collar along the border.
    """
    pixels, kind = sample.pixels, sample.pixels.dtype.kind
    if kind not in "iuf":
        return []
    for value in _fills(pixels.dtype):
        fill = (pixels == value).any(axis=0) & sample.valid
        if fill.any():
            return [_undeclared(dataset, value, fill, sample)]
    if len(np.unique(pixels[:, ::4, ::4])) <= FEW_VALUES:
        return []
    declared = dataset.mask_flag_enums[0] != [MaskFlags.all_valid]
    for value in (0.0, float(np.iinfo(pixels.dtype).max)) if kind == "u" else (0.0,):
        fill = (pixels == value).all(axis=0) & sample.valid
        collar = fill[sample.edge].mean() >= (CLEAR_COLLAR if declared else COLLAR)
        if collar and fill.mean() >= MIN_COLLAR_SHARE:
            return [_undeclared(dataset, value, fill, sample)]
    return []


def _fills(dtype: np.dtype[Any]) -> tuple[float, ...]:
    """The customary nodata values that the dtype can hold."""
    if dtype.kind == "f":
        return FILLS
    limits = np.iinfo(dtype)
    return tuple(v for v in FILLS if limits.min <= v <= limits.max and dtype.kind == "i")


def _undeclared(
    dataset: DatasetReader, value: float, fill: NDArray[np.bool_], sample: PixelSample
) -> Problem:
    tag = "no nodata value is set"
    if dataset.nodata is not None:
        tag = f"the nodata value is {dataset.nodata:g}"
    return Problem(
        "undeclared-nodata",
        "warning",
        f"{tag}, but {value:g} fills {_share(fill)} of the pixels, "
        f"{fill[sample.edge].mean():.0%} of those along the border",
        f"if that means no data: --nodata {value:g}, or gdal_edit -a_nodata {value:g}",
    )


def _constant(sample: PixelSample) -> list[Problem]:
    real = sample.pixels[:, sample.valid]
    if real.shape[1] < MIN_CONSTANT_PX:
        return []
    same = np.flatnonzero((real == real[:, :1]).all(axis=1))
    if not same.size:
        return []
    listed = ", ".join(f"band {i + 1} is {real[i, 0]:g}" for i in same[:8])
    text = f"{same.size} of {len(real)} bands hold one value everywhere: {listed}"
    return [Problem("constant", "warning", text, "leave them out: --bands")]


def _hidden_alpha(dataset: DatasetReader, sample: PixelSample) -> list[Problem]:
    if (
        dataset.count not in (2, 4)
        or sample.opacity is not None
        or set(dataset.dtypes) != {"uint8"}
    ):
        return []
    last = sample.pixels[-1]
    if dataset.colorinterp[-1] != ColorInterp.undefined or not np.isin(last, (0, 255)).all():
        return []
    return [
        Problem(
            "hidden-alpha",
            "warning",
            "its last band holds only 0 and 255, like an alpha band, but is not marked as one; "
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
    text = f"its nodata value, {value:g}, is not one that {kind} can hold"
    return [Problem("nodata-range", "warning", text, "gdal_edit -a_nodata")]
