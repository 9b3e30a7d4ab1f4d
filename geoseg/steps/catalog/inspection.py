"""What the files of a new entry say of themselves: where, when, and which bands."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyproj
import rasterio
import shapely

from geoseg import grid, ground
from geoseg.errors import ConfigError
from geoseg.raster import open_scene
from geoseg.raster.drivers import SUFFIXES, driver_of
from geoseg.vector.layer import open_layer
from geoseg.vector.lonlat import rounded, to_lonlat

if TYPE_CHECKING:
    from geoseg.raster import RasterSource

FOOTPRINT_DEG = 1e-6
"""How far the drawn frame may lie off the true one: a tenth of a metre."""


@dataclass(frozen=True, eq=False)
class Looked:
    """A file and what it says.

    Attributes:
        path: the file.
        role: "data", or "labels".
        footprint: its frame in longitude and latitude.
        crs: its CRS.
        span: first and last moment, as STAC writes them.
        source: the raster, if it is one.
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
        """The CRS as authority and code, where it has one."""
        authority = self.crs.to_authority(min_confidence=100)
        return ":".join(authority) if authority else None


def look(path: Path, *, labelled: bool, stated: str | None) -> Looked:
    """Look at a raster or a polygon file.

    Args:
        path: the file.
        labelled: whether rasters of one band are labels.
        stated: when it was taken, as AddOptions has it; what the file says when None.

    Raises:
        InputError: it cannot be read, or does not say where it lies.
        ConfigError: nobody says when it was taken.
    """
    if path.suffix.lower() not in SUFFIXES:
        layer = open_layer(path, None)
        bounds = layer.bounds or shapely.total_bounds(layer.read(None, None)[1])
        frame = _lonlat(shapely.box(*bounds), layer.crs)
        return Looked(path, "labels", frame, layer.crs, _span(path, stated), None)
    if not path.is_file():
        raise ConfigError("is no file", where=path)
    source = open_scene(path)
    crs = grid.crs_of(source.geobox).proj
    role = "labels" if labelled and len(source.bands) == 1 else "data"
    frame = _lonlat(source.geobox.extent.geom, crs)
    return Looked(path, role, frame, crs, _span(path, stated), source)


def _lonlat(frame: shapely.Geometry, crs: pyproj.CRS) -> shapely.Geometry:
    return rounded(shapely.simplify(to_lonlat(np.array([frame]), crs), FOOTPRINT_DEG))[0]


def _span(path: Path, stated: str | None) -> tuple[str, str]:
    """First and last moment of the days that were stated, or when a GeoTIFF was taken."""
    if stated is None:
        moment = _text(_taken(path))
        return moment, moment
    try:
        days = [date.fromisoformat(part) for part in stated.split("/")]
    except ValueError:
        days = []
    if len(days) not in (1, 2) or days[0] > days[-1]:
        raise ConfigError("is no date", got=stated, wanted="2024-05-31 or 2024-05-01/2024-05-31")
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
        raise ConfigError("does not say when it was taken", where=path, fix="--date") from None


def _text(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")
