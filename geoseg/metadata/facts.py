"""What every record says of a map: its id, when and where it is, how it was made, its files."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import rasterio
import shapely
from pystac import MediaType
from pystac.extensions.classification import Classification

from geoseg import grid
from geoseg.classes import IGNORE, ClassScheme
from geoseg.maps.contents import CLASSES, RECORD, SCHEME, Contents
from geoseg.qgis.project import DEFINITION, PROJECT
from geoseg.raster.drivers import driver_of
from geoseg.vector.lonlat import rounded, to_lonlat

MEDIA = {
    ".tif": MediaType.COG, ".gpkg": MediaType.GEOPACKAGE, ".geojson": MediaType.GEOJSON,
    ".fgb": MediaType.FLATGEOBUF, ".parquet": MediaType.PARQUET,
    ".geojsonl": "application/geo+json-seq", ".ndjson": "application/geo+json-seq",
    ".yaml": "application/yaml", ".json": MediaType.JSON, ".qgz": "application/zip",
    ".qlr": MediaType.XML,
}  # fmt: skip
FOOTPRINT_DEG = 1e-6
"""How far the drawn frame may lie off the true one: a tenth of a metre."""
TAGS = (("IMAGERY", "ACQUISITIONDATETIME"), (None, "TIFFTAG_DATETIME"))
"""Where GeoTIFFs say when they were taken."""


@dataclass(frozen=True)
class Part:
    """A file of a map.

    Attributes:
        key: what records know it by.
        path: where it lies.
        title: what it is called.
        role: "data", "visual" or "metadata".
    """

    key: str
    path: Path
    title: str
    role: str

    @property
    def media(self) -> str | None:
        """Its media type, by its suffix."""
        return MEDIA.get(self.path.suffix.lower())


def name_of(contents: Contents) -> str:
    """An id that no other map has: the folder's name and the run that made it."""
    run = contents.record.key[:12] if contents.record else ""
    return "-".join(filter(None, (slug(contents.folder.resolve().name), run)))


def slug(text: str) -> str:
    """A name of letters, digits, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "map"


def href(path: Path, folder: Path) -> str:
    """The address of a file, seen from the map's folder."""
    try:
        relative = quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    except ValueError:  # on another drive
        return path.resolve().as_uri()
    return relative if relative.startswith("..") else f"./{relative}"


def finished(contents: Contents) -> datetime:
    """When the map was made."""
    if contents.record is not None and contents.record.finished:
        return datetime.fromisoformat(contents.record.finished)
    return datetime.fromtimestamp((contents.folder / CLASSES).stat().st_mtime, UTC)


def taken(contents: Contents) -> datetime:
    """When the scene was taken, as the user or the scene says; else when it was mapped."""
    if contents.options.date:
        return datetime.fromisoformat(contents.options.date)
    if contents.imagery is not None and isinstance(contents.imagery.path, Path):
        path = contents.imagery.path
        with rasterio.open(path.absolute(), driver=driver_of(path)) as dataset:
            stated = [dataset.tags(ns=space).get(tag, "") for space, tag in TAGS]
        for text in stated:
            found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", text)
            if found and found[1] != "0000":
                year, month, day, hour, minute, second = map(int, found.groups())
                return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return finished(contents)


def footprint(contents: Contents) -> shapely.Geometry:
    """The map's frame in degrees, cut at the antimeridian."""
    frame = np.array([contents.geobox.extent.geom])
    drawn = to_lonlat(frame, grid.crs_of(contents.geobox).proj)
    return rounded(shapely.simplify(drawn, FOOTPRINT_DEG))[0]


def bbox(geometry: shapely.Geometry) -> list[float]:
    """West, south, east, north; west is more than east across the antimeridian (RFC 7946, 5.2)."""
    boxes = shapely.bounds(shapely.get_parts(geometry))
    west, south, east, north = shapely.bounds(geometry).tolist()
    if len(boxes) > 1 and west == -180 and east == 180:
        west, east = boxes[boxes[:, 2] == 180, 0].min(), boxes[boxes[:, 0] == -180, 2].max()
    return [float(west), float(south), float(east), float(north)]


def lineage(contents: Contents) -> str:
    """How the map was made, in a sentence."""
    models = ", ".join(_model_name(each) for each in contents.models)
    return f"Every pixel mapped by {models or 'a model'}; classes, and how sure it was in percent."


def parts(contents: Contents) -> Iterator[Part]:
    """The files of a map, its rasters first."""
    folder = contents.folder
    for name in contents.rasters:
        yield Part(Path(name).stem, folder / name, Path(name).stem.capitalize(), "data")
    for each in contents.polygons:
        yield Part(slug(f"{each.path.stem}_{each.path.suffix[1:]}"), each.path, "Polygons", "data")
    for key, name, title, role in (
        ("project", PROJECT, "QGIS project", "visual"),
        ("layers", DEFINITION, "QGIS layer definition", "visual"),
        ("scheme", SCHEME, "Class file", "metadata"),
        ("run", RECORD, "What the map was made from", "metadata"),
    ):
        if (folder / name).is_file():
            yield Part(key, folder / name, title, role)


def classes_of(scheme: ClassScheme, counts: dict[str, int]) -> list[Classification]:
    """The classes, with what has no class among them."""
    names = [slug(name) for name in scheme.names]
    names = [name if names.count(name) == 1 else f"{name}_{i}" for i, name in enumerate(names)]
    return [
        *(
            Classification.create(
                value=i, name=names[i], title=each.name, description=each.name,
                color_hint=each.color[1:7].upper(), count=counts.get(each.name),
            )
            for i, each in enumerate(scheme.classes)
        ),
        Classification.create(
            value=IGNORE, name="no_data", description="not mapped", nodata=True
        ),
    ]  # fmt: skip


def _model_name(spec: Any) -> str:
    return " ".join(filter(None, (str(spec["architecture"]), spec.get("backbone"))))
