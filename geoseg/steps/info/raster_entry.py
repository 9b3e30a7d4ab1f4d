"""A raster file: its facts, and everything about it that could spoil a result."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from rasterio.enums import ColorInterp, MaskFlags
from rasterio.io import DatasetReader

from geoseg.errors import RasterError
from geoseg.raster.checks import blocks, georeference, pixels
from geoseg.raster.checks.gdal_messages import quietly, summary
from geoseg.raster.file_source import COLOURS, MAX_BANDS, MAX_BLOCK_BYTES
from geoseg.steps.info.entry import Entry, Problem, entry, problem, whole_number

LARGE_PX = 50_000_000
UNSAMPLED = ("complex", "block-size", "band-count")


def raster_entry(path: Path, driver: str, *, deep: bool) -> Entry:
    """Describe a raster that may be opened with ``driver``.

    Raises:
        RasterError: it cannot be opened; names the cause.
    """
    with quietly() as messages, _open(path, driver) as dataset:
        problems = _format_problems(dataset)
        facts = {**_facts(dataset), **georeference.facts(dataset)}
        problems += georeference.problems(path, driver, dataset)
        if not any(row["code"] in UNSAMPLED for row in problems):
            share, rows = _look(path, dataset, deep=deep)
            facts["valid_share"] = share
            problems += rows
    if messages:
        problems.append(problem("gdal", "note", f"GDAL says: {summary(messages)}"))
    return entry(path, "raster", problems, driver=driver, **facts)


def _look(path: Path, dataset: DatasetReader, *, deep: bool) -> tuple[float | None, list[Problem]]:
    """The share of valid pixels, where they can be read, and what is wrong with them."""
    broken = blocks.problems(path, dataset, deep=deep)
    if broken:
        return None, broken
    try:
        seen = pixels.sample(dataset)
    except RasterError as error:
        return None, [blocks.corrupt(error)]
    return round(float(seen.valid.mean()), 4), pixels.problems(dataset, seen)


def _open(path: Path, driver: str) -> DatasetReader:
    try:
        return rasterio.open(path, driver=driver, sharing=False)
    except rasterio.errors.RasterioError as error:
        raise RasterError(
            "cannot be opened", where=path, got=blocks.root_cause(error), fix="fetch it again"
        ) from error


def _facts(dataset: DatasetReader) -> dict[str, Any]:
    kinds = dict.fromkeys(dataset.dtypes)
    nodata = dataset.nodata
    height, width = dataset.block_shapes[0]
    return {
        "width": dataset.width,
        "height": dataset.height,
        "bands": dataset.count,
        "dtype": ", ".join(kinds),
        "nodata": whole_number(nodata),
        "nodata_is_nan": nodata is not None and bool(np.isnan(nodata)),
        "validity": _validity(dataset),
        "band_names": [_band_name(dataset, i) for i in dataset.indexes],
        "colors": [each.name for each in dataset.colorinterp],
        "block": [height, width],
        "overviews": dataset.overviews(1),
        "compression": dataset.compression.name.lower() if dataset.compression else None,
    }


def _validity(dataset: DatasetReader) -> str:
    """What says which pixels are real."""
    flags = {flag for each in dataset.mask_flag_enums for flag in each}
    if MaskFlags.alpha in flags:
        return "alpha"
    if MaskFlags.per_dataset in flags:
        return "mask"
    return "nodata" if MaskFlags.nodata in flags else "none"


def _band_name(dataset: DatasetReader, index: int) -> str:
    colour = dataset.colorinterp[index - 1].name
    named = colour if colour in (*COLOURS, "alpha") else f"b{index}"
    return dataset.descriptions[index - 1] or named


def _format_problems(dataset: DatasetReader) -> list[Problem]:
    rows = []
    if any(kind.startswith("complex") for kind in dataset.dtypes):
        rows.append(
            problem("complex", "error", "its pixels are complex numbers", "write amplitudes first")
        )
    if dataset.count > MAX_BANDS:
        rows.append(
            problem(
                "band-count",
                "error",
                f"it has {dataset.count} bands, and geoseg takes at most {MAX_BANDS}",
                "gdal_translate -b picks bands",
            )
        )
    height, width = dataset.block_shapes[0]
    if not rows and height * width * np.dtype(dataset.dtypes[0]).itemsize > MAX_BLOCK_BYTES:
        rows.append(
            problem(
                "block-size",
                "error",
                f"its blocks of {height} x {width} px are over {MAX_BLOCK_BYTES >> 20} MiB each",
                "gdal_translate -co TILED=YES",
            )
        )
    return rows + _layout_notes(dataset) + _value_notes(dataset)


def _layout_notes(dataset: DatasetReader) -> list[Problem]:
    rows = []
    height, width = dataset.block_shapes[0]
    if dataset.width * dataset.height > LARGE_PX:
        if not dataset.overviews(1):
            rows.append(
                problem(
                    "no-overviews",
                    "note",
                    f"{dataset.width * dataset.height / 1e6:.0f} Mpx, no overviews: slow to view",
                    "gdal_translate -of COG",
                )
            )
        if width == dataset.width and height < 64:
            rows.append(
                problem(
                    "not-tiled",
                    "note",
                    f"stored in strips of {height} x {width} px: slow to read by windows",
                    "gdal_translate -of COG",
                )
            )
    return rows


def _value_notes(dataset: DatasetReader) -> list[Problem]:
    rows = []
    if any(scale != 1 for scale in dataset.scales) or any(dataset.offsets):
        pairs = dict.fromkeys(zip(dataset.scales, dataset.offsets, strict=True))
        text = ", ".join(f"x {scale:g} + {offset:g}" for scale, offset in list(pairs)[:4])
        rows.append(
            problem(
                "scaled",
                "note",
                f"its tags say that values are stored numbers {text}; geoseg uses stored numbers",
                "train and predict on scenes that are scaled alike",
            )
        )
    if ColorInterp.palette in dataset.colorinterp:
        rows.append(
            problem("palette", "note", "its numbers stand for colours of a table, not intensities")
        )
    if len(set(dataset.dtypes)) > 1:
        rows.append(
            problem(
                "mixed-dtypes", "note", f"its bands differ in dtype: {', '.join(dataset.dtypes)}"
            )
        )
    return rows
