"""The ellipsoid under a CRS, and lengths on it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
import pyproj
from numpy.typing import ArrayLike, NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import GridError

type Floats = NDArray[np.float64]

CYLINDRICAL = re.compile(
    r"(Popular Visualisation Pseudo )?Mercator|Equidistant Cylindrical|Miller Cylindrical"
)
SAME_BODY = 0.01
"""Ellipsoids of one body differ by less, and those of Earth and Venus by 5 %."""
STEP_M = 100.0
"""To see how longitude and latitude change."""
PIECES = 64
"""Of a line, along geodesics."""


@dataclass(frozen=True, eq=False)
class Surface:
    """The ellipsoid of a CRS and the way to it.

    Attributes:
        crs: the CRS without heights and without a shift to another datum.
        base: its geographic CRS.
        geod: the ellipsoid.
        unit: radians per unit of a geographic CRS, metres per unit of a projected one.
    """

    crs: pyproj.CRS
    base: pyproj.CRS
    geod: pyproj.Geod
    unit: float

    @property
    def method(self) -> str:
        """The name of the projection; empty for longitudes and latitudes."""
        operation = self.crs.coordinate_operation
        return "" if operation is None else str(operation.method_name)

    @property
    def is_lonlat(self) -> bool:
        """Whether coordinates are longitudes and latitudes; with a rotated pole they are not."""
        return bool(self.crs.is_geographic) and not self.crs.is_derived

    @property
    def is_straight(self) -> bool:
        """Whether meridians and parallels run along x and y."""
        return self.is_lonlat or CYLINDRICAL.match(self.method) is not None

    @property
    def metres_per_unit(self) -> float:
        """Metres per unit of the coordinates; for angles, along the equator."""
        return self.unit * self.geod.a if self.crs.is_geographic else self.unit

    def lonlat(self, x: ArrayLike, y: ArrayLike) -> tuple[Floats, Floats]:
        """Longitudes and latitudes in degrees; infinite where the CRS has none."""
        to_base = _transformer(self.crs, self.base)
        lon, lat = to_base.transform(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
        degrees = float(np.degrees(self.base.axis_info[0].unit_conversion_factor))
        return np.asarray(lon) * degrees, np.asarray(lat) * degrees


def latitudes(surface: Surface, x: float, y: Floats) -> Floats:
    """The latitudes of y in radians, where x does not matter; beyond the poles those of the poles.

    Args:
        surface: one that is straight.
        x: any in the grid.
        y: coordinates in the CRS.
    """
    if surface.is_lonlat:
        return np.clip(y * surface.unit, -np.pi / 2, np.pi / 2)
    lat = np.radians(surface.lonlat(np.full(np.shape(y), x), y)[1])
    return np.where(np.isfinite(lat), lat, np.copysign(np.pi / 2, y))


@lru_cache(maxsize=64)
def surface_of(crs: pyproj.CRS) -> Surface:
    """The ellipsoid of a CRS.

    Raises:
        GridError: the CRS is neither geographic nor projected, so it has none.
    """
    flat = crs.sub_crs_list[0] if crs.is_compound else crs
    flat = flat.source_crs or flat if flat.is_bound else flat
    base = flat.source_crs if flat.is_geographic and flat.is_derived else flat.geodetic_crs
    geod = flat.get_geod()
    if not (flat.is_geographic or flat.is_projected) or base is None or geod is None:
        raise GridError(
            "the CRS is not tied to the ground",
            got=crs.name,
            wanted="a geographic or projected CRS",
            fix="name the right one: --crs EPSG:32633",
        )
    return Surface(flat, base, geod, float(flat.axis_info[0].unit_conversion_factor))


@lru_cache(maxsize=64)
def _transformer(source: pyproj.CRS, target: pyproj.CRS) -> pyproj.Transformer:
    return pyproj.Transformer.from_crs(source, target, always_xy=True)


def zone_m2(south: Floats, north: Floats, geod: pyproj.Geod) -> Floats:
    """Square metres between two latitudes, per radian of longitude.

    The difference of q in Snyder, Map Projections: A Working Manual (1987), 3-12, times half the
    square of the semi-major axis; sines are subtracted first, so that nothing cancels in a pixel
    of a centimetre.

    Args:
        south: latitudes in radians.
        north: latitudes in radians; the result is negative where they are smaller.
        geod: the ellipsoid.
    """
    es = geod.es
    step = 2 * np.cos((south + north) / 2) * np.sin((north - south) / 2)
    one, other = np.sin(south), np.sin(north)
    ratio = step * (1 + es * one * other) / ((1 - es * one**2) * (1 - es * other**2))
    log = step
    if es > 0:
        log = np.arctanh(np.sqrt(es) * step / (1 - es * one * other)) / np.sqrt(es)
    return np.asarray(geod.a**2 / 2 * (1 - es) * (ratio + log), dtype=np.float64)


def radian_m(lat: Floats, geod: pyproj.Geod) -> tuple[Floats, Floats]:
    """Metres per radian of longitude and of latitude.

    Snyder, Map Projections: A Working Manual (1987), 4-20 times the cosine, and 4-18.

    Args:
        lat: latitudes in radians.
        geod: the ellipsoid.
    """
    root = np.sqrt(1 - geod.es * np.sin(lat) ** 2)
    return geod.a * np.cos(lat) / root, geod.a * (1 - geod.es) / root**3


def metres_per_unit(crs: pyproj.CRS) -> float:
    """Metres per unit of a CRS's coordinates; for degrees, along the equator.

    Raises:
        GridError: the CRS is not tied to the ground.
    """
    return surface_of(crs).metres_per_unit


def unit_lengths_m(crs: pyproj.CRS, y: Floats) -> Floats:
    """(n, 2) metres per unit of x and of y, at the latitudes of ``y`` in degrees and in Mercator.

    Raises:
        GridError: the CRS is not tied to the ground.
    """
    surface = surface_of(crs)
    if surface.is_lonlat:
        return np.stack(radian_m(y * surface.unit, surface.geod), axis=1) * surface.unit
    if not surface.is_straight:
        return np.full((len(y), 2), surface.metres_per_unit)
    step = STEP_M / surface.unit
    lon, _ = surface.lonlat([0, step], [0, 0])
    south, middle, north = (latitudes(surface, 0, y + by) for by in (-step / 2, 0, step / 2))
    per_lon, per_lat = radian_m(middle, surface.geod)
    east = per_lon * np.radians(lon[1] - lon[0])
    return np.stack([east, per_lat * (north - south)], axis=1) / step


def distance_m(crs: pyproj.CRS, start: tuple[float, float], end: tuple[float, float]) -> float:
    """The length on the ellipsoid of a straight line in a CRS, in metres.

    It is followed in pieces, so that a line around the world has its whole length.

    Raises:
        GridError: the CRS is not tied to the ground.
    """
    surface = surface_of(crs)
    lon, lat = surface.lonlat(*np.linspace(start, end, PIECES + 1).T)
    return float(np.sum(surface.geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]))


def to_lonlat(crs: pyproj.CRS) -> pyproj.Transformer:
    """From a CRS to degrees: of WGS 84 on the Earth, else of the CRS's own ellipsoid.

    Raises:
        GridError: the CRS is not tied to the ground.
    """
    surface, earth = surface_of(crs), pyproj.CRS("OGC:CRS84")
    return _transformer(crs, earth if _alike(surface, surface_of(earth)) else surface.base)


def same_body(one: pyproj.CRS, other: pyproj.CRS) -> bool:
    """Whether two CRSs are of the same body.

    Raises:
        GridError: a CRS is not tied to the ground.
    """
    return _alike(surface_of(one), surface_of(other))


def _alike(one: Surface, other: Surface) -> bool:
    return abs(one.geod.a / other.geod.a - 1) < SAME_BODY


def meet(one: GeoBox, other: GeoBox) -> bool:
    """Whether the frames of two grids meet on the ground, to a bounding box in lon/lat.

    Raises:
        GridError: a CRS is not tied to the ground.
    """
    frames: list[Any] = []
    crses = [grid.crs_of(each).proj for each in (one, other)]
    if not same_body(*crses):
        return False
    for geobox, crs in zip((one, other), crses, strict=True):
        frames.append(to_lonlat(crs).transform_bounds(*grid.bounds(geobox)))
    (west, south, east, north), (west2, south2, east2, north2) = frames
    return bool(west <= east2 and west2 <= east and south <= north2 and south2 <= north)
