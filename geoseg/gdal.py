"""What GDAL may do in this process, said before any libgdal reads it: import this first.

rasterio and pyogrio bring a libgdal each. Both look at the environment when their drivers are
registered, so do processes that are started later.
"""

from __future__ import annotations

import logging
import os

CACHE_MB = 128
"""GDAL's own cache takes 5 % of the memory and is the part of a step that grows with the raster."""
SKIPPED = (
    "WMS", "WCS", "WMTS", "HTTP", "STACIT", "STACTA", "GTI", "DERIVED", "MRF", "PDF", "OGCAPI",
    "OGR_VRT", "GDALG", "ADBC",
)  # fmt: skip
"""Drivers that send requests, follow descriptions to other files or load code. VRT is not among
them: those that are opened were looked at first."""
CODE = ("GDAL_VRT_ENABLE_PYTHON", "GDAL_DRIVER_PATH", "OGR_DRIVER_PATH")
"""Variables by which a file or a folder brings code into the process."""


def restrict() -> None:
    """Bound GDAL's cache and take away the drivers that reach out; what a user set is kept."""
    os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_MB))
    skipped = os.environ.get("GDAL_SKIP", "")
    listed = skipped.split(",") if "," in skipped else skipped.split()
    os.environ["GDAL_SKIP"] = ",".join(dict.fromkeys((*listed, *SKIPPED)))
    for name in CODE:
        os.environ.pop(name, None)
    logging.getLogger("rasterio._env").addFilter(_matters)


def _matters(record: logging.LogRecord) -> bool:
    """Builds differ in their drivers: one that is not there need not be taken away."""
    return "GDAL_SKIP" not in record.getMessage()


restrict()
