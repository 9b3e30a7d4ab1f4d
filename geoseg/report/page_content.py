"""The content of a report page."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from geoseg.classes import ClassScheme

if TYPE_CHECKING:
    from geoseg.job import Record
    from geoseg.raster import FileSource, RasterSource
    from geoseg.vector.layer import Layer


@dataclass(frozen=True)
class PageContent:
    """A map and everything that its page shows.

    Attributes:
        title: heading.
        scheme: the classes.
        classes: the class raster; None for a live run.
        imagery: the scene.
        polygons: polygons of the map.
        record: record of the run that made the map; None without a readable one.
        accuracy: the report of `geoseg.evaluate` about the map.
        files: files beside the map, description by relative URL.
        warnings: further sentences for the section of warnings.
        credits: producer of imagery and map.
        live: URL of the progress of a live run; empty for a finished map.
        tiles: first and last zoom of the tiles that the page's server has; None without tiles.
    """

    title: str
    scheme: ClassScheme
    classes: RasterSource | None
    imagery: FileSource | None = None
    polygons: Layer | None = None
    record: Record | None = None
    accuracy: Mapping[str, Any] | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[str, ...] = ()
    credits: str = ""
    live: str = ""
    tiles: tuple[int, int] | None = None
