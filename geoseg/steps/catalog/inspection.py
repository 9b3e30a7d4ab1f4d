"""Metadata read from the files of a new entry: footprint, date and bands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyproj
import rasterio
import shapely

from geoseg import grid, ground, layout
from geoseg.errors import ConfigError
from geoseg.raster import open_scene
from geoseg.raster.drivers import SUFFIXES, driver_of
from geoseg.vector.layer import open_layer
from geoseg.vector.lonlat import rounded, to_lonlat

if TYPE_CHECKING:
    from geoseg.raster import RasterSource

SHAPEFILE_PARTS = (".shx", ".dbf", ".prj", ".cpg")
"""What lies beside the .shp of a shapefile."""

FOOTPRINT_DEG = 1e-6
"""Tolerance of simplified footprints: about a tenth of a metre."""


@dataclass(frozen=True, eq=False)
class Inspected:
    """A file and its metadata.

    Attributes:
        path: the file.
        role: "data", or "labels".
        footprint: its extent in longitude and latitude (WGS 84).
        crs: its CRS.
        span: first and last moment of acquisition, RFC 3339 in UTC.
        source: the raster; None for polygons.
    """

    path: Path
    role: str
    footprint: shapely.Geometry
    crs: pyproj.CRS
    span: tuple[str, str]
    source: RasterSource | None

    @property
    def gsd(self) -> float | None:
        """Pixel size in metres, of a raster."""
        return None if self.source is None else round(ground.gsd_m(self.source.geobox), 4)

    @property
    def code(self) -> str | None:
        """The CRS as AUTHORITY:CODE, if it has one."""
        authority = self.crs.to_authority(min_confidence=100)
        return ":".join(authority) if authority else None


def inspect(path: Path, *, labelled: bool, stated: str | None) -> Inspected:
    """Read the metadata of a raster or a polygon file.

    Args:
        path: the file.
        labelled: whether single-band rasters are labels.
        stated: acquisition date as in `AddOptions.date`; if None, the file's own.

    Raises:
        InputError: it cannot be read or has no CRS.
        ConfigError: the date is missing or malformed.
    """
    if path.suffix.lower() not in SUFFIXES:
        layer = open_layer(path, None)
        bounds = layer.bounds or shapely.total_bounds(layer.read(None, None)[1])
        frame = _lonlat(shapely.box(*bounds), layer.crs)
        return Inspected(path, "labels", frame, layer.crs, _span(path, stated), None)
    if not path.is_file():
        raise ConfigError("is not a file", where=path)
    source = open_scene(path)
    crs = grid.crs_of(source.geobox).proj
    role = "labels" if labelled and len(source.bands) == 1 else "data"
    frame = _lonlat(source.geobox.extent.geom, crs)
    return Inspected(path, role, frame, crs, _span(path, stated), source)


def sidecars(path: Path) -> list[Path]:
    """The existing files that belong to another one: parts of a shapefile, and GDAL's .aux.xml."""
    parts = SHAPEFILE_PARTS if path.suffix.lower() == ".shp" else ()
    beside = [path.with_suffix(part) for part in parts]
    return [each for each in (*beside, layout.gdal_sidecar(path)) if each.is_file()]


def _lonlat(frame: shapely.Geometry, crs: pyproj.CRS) -> shapely.Geometry:
    return rounded(shapely.simplify(to_lonlat(np.array([frame]), crs), FOOTPRINT_DEG))[0]


def _span(path: Path, stated: str | None) -> tuple[str, str]:
    """First and last moment of the stated days, or the date of a GeoTIFF's own tag."""
    if stated is None:
        moment = _text(_taken(path))
        return moment, moment
    try:
        days = [date.fromisoformat(part) for part in stated.split("/")]
    except ValueError:
        days = []
    if len(days) not in (1, 2) or days[0] > days[-1]:
        raise ConfigError("is not a date", got=stated, wanted="2024-05-31 or 2024-05-01/2024-05-31")
    start = datetime.combine(days[0], time(0), UTC)
    return _text(start), _text(datetime.combine(days[-1], time(23, 59, 59), UTC))


def _taken(path: Path) -> datetime:
    tags: dict[str, str] = {}
    if path.suffix.lower() in SUFFIXES:
        with rasterio.open(path, driver=driver_of(path)) as dataset:
            tags = dataset.tags()
    try:
        return datetime.strptime(tags.get("TIFFTAG_DATETIME", ""), "%Y:%m:%d %H:%M:%S").replace(
            tzinfo=UTC
        )
    except ValueError:
        raise ConfigError("has no acquisition date", where=path, fix="--date") from None


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
