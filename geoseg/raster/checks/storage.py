"""How a raster is stored: formats that geoseg refuses, slow layouts, and tags on its bands."""

from __future__ import annotations

import numpy as np
from rasterio.enums import ColorInterp
from rasterio.io import DatasetReader

from geoseg.problems import Problem
from geoseg.raster.block import repeated
from geoseg.raster.file_source import MAX_BANDS, MAX_BLOCK_BYTES, band_name

LARGE_PX = 50_000_000
"""From here on a viewer without overviews takes seconds to draw the whole raster."""
LOW_STRIP_ROWS = 64
"""A window of 512 rows decodes full rows of at least 8 strips as low as this."""
UNREADABLE = ("complex", "block-size", "band-count", "mixed-dtypes")
"""Codes of problems that keep pixels from being looked at."""


def storage_problems(dataset: DatasetReader) -> list[Problem]:
    """Problems with dtype, number of bands, blocks, overviews, scaling and colour tables."""
    return [
        *_refused(dataset),
        *_layout_notes(dataset),
        *_value_notes(dataset),
        *_same_names(dataset),
    ]


def _refused(dataset: DatasetReader) -> list[Problem]:
    found = []
    if any(kind.startswith("complex") for kind in dataset.dtypes):
        text = "its pixels are complex numbers"
        found.append(Problem("complex", "error", text, "write amplitudes first"))
    if dataset.count > MAX_BANDS:
        text = f"it has {dataset.count} bands, and geoseg takes at most {MAX_BANDS}"
        found.append(Problem("band-count", "error", text, "gdal_translate -b picks bands"))
    if len(set(dataset.dtypes)) > 1:
        text = f"its bands differ in dtype: {', '.join(dataset.dtypes)}"
        found.append(Problem("mixed-dtypes", "error", text, "convert them to one dtype"))
    height, width = dataset.block_shapes[0]
    if not found and height * width * np.dtype(dataset.dtypes[0]).itemsize > MAX_BLOCK_BYTES:
        text = f"its blocks of {height} x {width} px are over {MAX_BLOCK_BYTES >> 20} MiB each"
        found.append(Problem("block-size", "error", text, "gdal_translate -co TILED=YES"))
    return found


def _layout_notes(dataset: DatasetReader) -> list[Problem]:
    if dataset.width * dataset.height <= LARGE_PX:
        return []
    found = []
    height, width = dataset.block_shapes[0]
    if not dataset.overviews(1):
        text = f"{dataset.width * dataset.height / 1e6:.0f} Mpx, no overviews: slow to view"
        found.append(Problem("no-overviews", "note", text, "gdal_translate -of COG"))
    if width == dataset.width and height < LOW_STRIP_ROWS:
        text = f"stored in strips of {height} x {width} px: slow to read by windows"
        found.append(Problem("not-tiled", "note", text, "gdal_translate -of COG"))
    return found


def _value_notes(dataset: DatasetReader) -> list[Problem]:
    found = []
    if any(scale != 1 for scale in dataset.scales) or any(dataset.offsets):
        pairs = dict.fromkeys(zip(dataset.scales, dataset.offsets, strict=True))
        text = ", ".join(f"x {scale:g} + {offset:g}" for scale, offset in list(pairs)[:4])
        found.append(
            Problem(
                "scaled",
                "note",
                f"its tags define values as stored numbers {text}; geoseg uses the stored numbers",
                "train and predict on scenes that are scaled alike",
            )
        )
    if ColorInterp.palette in dataset.colorinterp:
        text = "its pixels are indices into a colour table, not intensities"
        found.append(Problem("palette", "note", text))
    return found


def _same_names(dataset: DatasetReader) -> list[Problem]:
    """Bands are chosen by name; those that share one are numbered."""
    names = [band_name(dataset, index) for index in dataset.indexes]
    twice = repeated(names)
    if not twice:
        return []
    numbered = ", ".join(f"{name} 1, {name} 2 ..." for name in twice[:4])
    text = f"several of its bands have the same name; geoseg calls them {numbered}"
    return [Problem("band-name-twice", "note", text, "give each band a description")]
