"""The entry of a raster file."""

from __future__ import annotations

import math
from pathlib import Path

from geoseg.raster.checks import inspect_raster
from geoseg.steps.info.entry import Entry, entry, whole_number


def raster_entry(path: Path, *, deep: bool) -> Entry:
    """Describe a raster file.

    Raises:
        RasterError: it is no raster, or cannot be opened.
        UnsafeError: it would make GDAL open or run something else.
    """
    found = inspect_raster(path, deep=deep)
    facts = found.facts
    where = facts.georeference
    return entry(
        path,
        "raster",
        found.problems,
        driver=found.driver,
        width=facts.width,
        height=facts.height,
        bands=len(facts.dtypes),
        dtype=", ".join(dict.fromkeys(facts.dtypes)),
        nodata=whole_number(facts.nodata),
        nodata_is_nan=facts.nodata is not None and math.isnan(facts.nodata),
        validity=facts.validity,
        band_names=facts.band_names,
        colors=facts.colors,
        block=facts.block,
        overviews=facts.overviews,
        compression=facts.compression,
        crs=where.crs,
        crs_name=None if where.known_crs is None else where.known_crs.name,
        resolution=where.resolution,
        gsd_m=where.gsd_m,
        bounds=where.bounds,
        sidecars=where.sidecars,
        valid_share=found.valid_share,
    )
