"""Options of `info`."""

from __future__ import annotations

from geoseg.options import Options


class InfoOptions(Options):
    """Options of `info`."""

    deep: bool = False
    """Read every block of a raster, every feature of a layer and every file of a model or map."""
