"""Options of `export_model`."""

from __future__ import annotations

from pydantic import Field

from geoseg.options import Options


class ExportOptions(Options):
    """Options of `export_model`."""

    tile: int | None = Field(None, ge=32)
    """Side in pixels of the tiles that Deepness and GeoDeep cut; by default 512, or the size the
    network was trained on. geoseg maps windows of any size either way."""

    dynamic: bool = False
    """Declare a dynamic batch and image size; Deepness and GeoDeep do not open such files."""
