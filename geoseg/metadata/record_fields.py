"""Fields that all records of a map share: id, times, footprint, lineage, files, classes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import rasterio
import shapely
from pystac import MediaType
from pystac.extensions.classification import Classification

from geoseg import grid
from geoseg.classes import IGNORE, ClassScheme
from geoseg.layout import CLASS_FILE, CLASSES, LAYER_DEFINITION, PROJECT, RECORD
from geoseg.maps.contents import Contents, model_name
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
"""Tolerance of the footprint, about a tenth of a metre."""
TIME_TAGS = (("IMAGERY", "ACQUISITIONDATETIME"), (None, "TIFFTAG_DATETIME"))
"""Tags with the acquisition time, as (namespace, tag), best first.

GDAL reads metadata files of satellite products into its domain IMAGERY; TIFFTAG_DATETIME is the
creation of the image (TIFF 6.0).
"""


@dataclass(frozen=True)
class ListedFile:
    """A file of a map, as records list it.

    Attributes:
        key: key of the STAC asset.
        path: the file.
        title: title for people.
        role: "data", "visual" or "metadata".
    """

    key: str
    path: Path
    title: str
    role: str

    @property
    def media(self) -> str | None:
        """Media type, by the suffix; None for one that has none."""
        return MEDIA.get(self.path.suffix.lower())


def record_id(contents: Contents) -> str:
    """A unique id: the name of the map's folder and the key of the run that made it."""
    run = contents.record.key[:12] if contents.record else ""
    return "-".join(filter(None, (slug(contents.folder.resolve().name), run)))


def slug(text: str) -> str:
    """Replace everything but ASCII letters, digits, dashes and underscores."""
    return re.sub(r"[^A-Za-z0-9_-]+", "_", text).strip("_") or "map"


def finished_at(contents: Contents) -> datetime:
    """The time the map was made."""
    if contents.record is not None and contents.record.finished:
        return datetime.fromisoformat(contents.record.finished)
    return datetime.fromtimestamp((contents.folder / CLASSES).stat().st_mtime, UTC)


def acquired_at(contents: Contents) -> datetime:
    """The acquisition time of the scene: as stated, else from its tags, else when it was mapped."""
    if contents.description.date:
        return datetime.fromisoformat(contents.description.date)
    if contents.imagery is not None and isinstance(contents.imagery.path, Path):
        path = contents.imagery.path
        with rasterio.open(path.absolute(), driver=driver_of(path)) as dataset:
            stated = [dataset.tags(ns=space).get(tag, "") for space, tag in TIME_TAGS]
        for text in stated:
            found = re.match(r"(\d{4})[:-](\d\d)[:-](\d\d)[ T](\d\d):(\d\d):(\d\d)", text)
            if found:
                year, month, day, hour, minute, second = map(int, found.groups())
                # Cameras without a clock write zeros, and nothing keeps others from nonsense.
                with suppress(ValueError):
                    return datetime(year, month, day, hour, minute, second, tzinfo=UTC)
    return finished_at(contents)


def footprint(contents: Contents) -> shapely.Geometry:
    """The outline of the map in longitude and latitude, split at the antimeridian.

    Raises:
        GridError: the map's CRS is not tied to the ground.
    """
    frame = np.array([contents.geobox.extent.geom])
    drawn = to_lonlat(frame, grid.crs_of(contents.geobox).proj)
    return rounded(shapely.simplify(drawn, FOOTPRINT_DEG))[0]


def bbox(geometry: shapely.Geometry) -> list[float]:
    """West, south, east, north in degrees.

    Across the antimeridian, west is greater than east (RFC 7946, section 5.2).
    """
    boxes = shapely.bounds(shapely.get_parts(geometry))
    west, south, east, north = shapely.bounds(geometry).tolist()
    if len(boxes) > 1 and west == -180 and east == 180:
        west, east = boxes[boxes[:, 2] == 180, 0].min(), boxes[boxes[:, 0] == -180, 2].max()
    return [float(west), float(south), float(east), float(north)]


def lineage(contents: Contents) -> str:
    """A sentence on how the map was made."""
    models = ", ".join(map(model_name, contents.models))
    return f"Every pixel mapped by {models or 'a model'}: its class, and the confidence in percent."


def listed_files(contents: Contents) -> Iterator[ListedFile]:
    """The files of a map, rasters first."""
    folder = contents.folder
    for name in contents.rasters:
        yield ListedFile(Path(name).stem, folder / name, Path(name).stem.capitalize(), "data")
    for each in contents.polygons:
        yield ListedFile(
            slug(f"{each.path.stem}_{each.path.suffix[1:]}"), each.path, "Polygons", "data"
        )
    for key, name, title, role in (
        ("project", PROJECT, "QGIS project", "visual"),
        ("layers", LAYER_DEFINITION, "QGIS layer definition", "visual"),
        ("scheme", CLASS_FILE, "Class file", "metadata"),
        ("run", RECORD, "Record of the run", "metadata"),
    ):
        if (folder / name).is_file():
            yield ListedFile(key, folder / name, title, role)


def classification(scheme: ClassScheme, counts: dict[str, int]) -> list[Classification]:
    """The classes and the no-data value, by the STAC classification extension.

    Args:
        scheme: the classes.
        counts: pixels by class name, where they are known.
    """
    # Names must be machine-readable and unique there; titles keep the names as they are.
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
