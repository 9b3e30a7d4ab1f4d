"""What a page shows."""

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
class Subject:
    """A map with what belongs to it.

    Attributes:
        title: the heading.
        scheme: the classes.
        classes: the class raster; of a run that is still going, what there is of it, and None
            before its first part.
        imagery: the scene.
        polygons: the polygons of the map.
        record: what the map was made from, where that is known.
        accuracy: what `geoseg.evaluate` has said about the map.
        files: what lies beside the map, as the page links it: name by address.
        warnings: what else a reader has to know.
        credits: who made imagery and map.
        live: address that says how far a run is; empty for a finished map.
        tiles: first and last zoom of the tiles that the page's server has; None where it has none.
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
