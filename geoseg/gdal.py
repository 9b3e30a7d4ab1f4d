"""Restrictions on GDAL in this process: import this before rasterio and pyogrio.

The wheels of rasterio and pyogrio hold a libgdal each. Both read the environment once, when they
register their drivers, and so do processes that are started later.
"""

from __future__ import annotations

import logging
import os

CACHE_MB = 128
"""GDAL's block cache would by default grow to 5 % of the memory, as the raster is read."""
SKIPPED = (
    "WMS", "WCS", "WMTS", "HTTP", "STACIT", "STACTA", "GTI", "DERIVED", "MRF", "PDF", "OGCAPI",
    "OGR_VRT", "GDALG", "ADBC",
)  # fmt: skip
"""Drivers that send requests, follow references to other files or load code. VRT is not among them:
`geoseg.raster.drivers` inspects each VRT before it is opened."""
CODE = ("GDAL_VRT_ENABLE_PYTHON", "GDAL_DRIVER_PATH", "OGR_DRIVER_PATH")
"""Variables that let files or folders bring code into the process."""


def restrict() -> None:
    """Limit GDAL's cache and skip the drivers above; the user's own settings are kept."""
    os.environ.setdefault("GDAL_CACHEMAX", str(CACHE_MB))
    skipped = os.environ.get("GDAL_SKIP", "")
    listed = skipped.split(",") if "," in skipped else skipped.split()
    os.environ["GDAL_SKIP"] = ",".join(dict.fromkeys((*listed, *SKIPPED)))
    for name in CODE:
        os.environ.pop(name, None)
    logging.getLogger("rasterio._env").addFilter(_matters)


def _matters(record: logging.LogRecord) -> bool:
    """Drop GDAL's warning that a skipped driver does not exist: builds differ in their drivers."""
    return "GDAL_SKIP" not in record.getMessage()


restrict()
