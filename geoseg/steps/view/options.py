"""Options of view."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from geoseg.options import Options


class ViewOptions(Options):
    """Options of `view`.

    Example:
        >>> import geoseg
        >>> geoseg.ViewOptions(title="Lake", open=False).port
        0
    """

    title: str = ""
    """Heading of the page; by default the name of the map's folder, or of its parent where the
    folder is called map."""

    polygons: tuple[Path, ...] = ()
    """Polygon files made from the map; by default those from its run, in its folder and the folder
    above."""

    imagery: Path | None = None
    """Image to lie under the map; by default the scene that was mapped."""

    accuracy: Path | None = None
    """Output of geoseg evaluate --json for the map; by default the report.json beside or above the
    map, if it is about this map and not older."""

    classes: Path | None = None
    """Class file or model directory of an unfinished run; by default the model beside the map
    folder."""

    port: int = Field(0, ge=0, le=65535)
    """Port of the page on this machine; 0 takes any free one."""

    open: bool = True
    """Open the page in the browser."""
