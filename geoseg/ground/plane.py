"""The plane in which the areas of a grid are taken: one that keeps areas.

What counts as area on the ground is decided here, once. It is the area on the CRS's own ellipsoid,
with one exception: in transverse Mercator in metres, such as UTM, it is the area in the CRS's own
plane, so that a thousand pixels of 10 m have 100 000 m2, as long as the two differ by less than
1 %. In UTM that holds up to some 650 km from the central meridian.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import pyproj
from odc.geo.geobox import GeoBox
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import LambertAzimuthalEqualAreaConversion

from geoseg import grid
from geoseg.errors import GridError
from geoseg.ground.surface import Floats, Surface, latitudes, surface_of, zone_m2

type Projection = Callable[[Floats, Floats], tuple[Floats, Floats]]
"""From x and y in a CRS to metres in a plane."""

EQUAL_AREA = (
    "Lambert Azimuthal Equal Area", "Lambert Cylindrical Equal Area", "Albers Equal Area",
    "Equal Earth", "Sinusoidal",
)  # fmt: skip
"""Those that PROJ computes on the ellipsoid; others, such as Mollweide, on a sphere only."""
PLANAR = 0.01
"""Areas of transverse Mercator's plane may differ from the ellipsoid's by this share."""
SAMPLES = 9
FARTHEST = np.cos(np.radians(150))
"""Farther from its centre an azimuthal projection is too thin to measure in."""


@dataclass(frozen=True, eq=False)
class Plane:
    """How to measure areas on a grid.

    Attributes:
        surface: the ellipsoid.
        unit_m2: square metres per square unit of the CRS, where its own plane is right; else None.
        to_metres: from the CRS's coordinates to a plane that keeps areas.
    """

    surface: Surface
    unit_m2: float | None
    to_metres: Projection


@lru_cache(maxsize=64)
def plane_of(geobox: GeoBox) -> Plane:
    """How to measure areas on a grid.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.
    """
    surface = surface_of(grid.crs_of(geobox).proj)
    if surface.is_straight:
        return Plane(surface, None, _cylinder(surface, geobox))
    to_metres = _around(surface, geobox)
    own = _keeps_areas(surface) or _is_true(surface, geobox, to_metres)
    return Plane(surface, surface.unit**2 if own else None, to_metres)


def is_transverse(plane: Plane) -> bool:
    """Whether lengths, too, are those of the CRS's own plane."""
    return plane.unit_m2 is not None and _is_metric_transverse(plane.surface)


def places(geobox: GeoBox, cols: Floats, rows: Floats) -> tuple[Floats, Floats]:
    """The x and y of places on a grid, in pixels from its corner; rotated grids too."""
    a, b, c, d, e, f = tuple(geobox.affine)[:6]
    return a * cols + b * rows + c, d * cols + e * rows + f


def _is_metric_transverse(surface: Surface) -> bool:
    return surface.method == "Transverse Mercator" and surface.unit == 1


def _keeps_areas(surface: Surface) -> bool:
    name = surface.method
    return (name.removesuffix(" (Spherical)") if surface.geod.es == 0 else name) in EQUAL_AREA


def _is_true(surface: Surface, geobox: GeoBox, to_metres: Projection) -> bool:
    """Whether the grid's own plane is transverse Mercator and keeps areas to `PLANAR`."""
    if not _is_metric_transverse(surface):
        return False
    cols, rows = _samples(geobox)
    x, y = places(geobox, cols, rows)
    edge = surface.geod.a * 1e-4 / surface.unit
    right, up = (
        np.stack(to_metres(x + dx, y + dy)) - np.stack(to_metres(x - dx, y - dy))
        for dx, dy in ((edge / 2, 0), (0, edge / 2))
    )
    true = np.abs(right[0] * up[1] - right[1] * up[0]) / (edge * surface.unit) ** 2
    return bool((np.abs(true - 1) < PLANAR).all())


def _samples(geobox: GeoBox) -> tuple[Floats, Floats]:
    height, width = geobox.shape
    share = np.linspace(0, 1, SAMPLES)
    cols, rows = np.meshgrid(share * width, share * height)
    return cols.ravel(), rows.ravel()


def _cylinder(surface: Surface, geobox: GeoBox) -> Projection:
    """Onto Lambert's cylindrical equal-area projection, without a place where it is cut open.

    Longitude goes with x alone and latitude with y, so longitudes beyond 180 or 360 degrees do no
    harm. Latitudes end at the poles.
    """
    height, width = geobox.shape
    x0, y0 = geobox.affine @ (width / 2, height / 2)
    per_x = surface.unit if surface.is_lonlat else _radians_per_x(surface, x0, y0)
    geod, middle = surface.geod, latitudes(surface, x0, np.array([y0]))

    def to_metres(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        lat = latitudes(surface, x0, y)
        return geod.a * per_x * (x - x0), zone_m2(middle, lat, geod) / geod.a

    return to_metres


def _radians_per_x(surface: Surface, x: float, y: float) -> float:
    step = surface.geod.a / surface.unit / 16
    lon, _ = surface.lonlat([x, x + step], [y, y])
    if not np.isfinite(lon).all():
        raise outside(surface)
    turn = lon[1] - lon[0]
    return float(np.radians(turn - 360 * np.rint(turn / 360)) / step)


def _around(surface: Surface, geobox: GeoBox) -> Projection:
    """Onto Lambert's azimuthal equal-area projection around the middle of a grid.

    Grids of more than that can hold, such as a world map, go onto the cylindrical one.
    """
    lon, lat = surface.lonlat(*places(geobox, *_samples(geobox)))
    there = np.flatnonzero(np.isfinite(lon) & np.isfinite(lat))
    if not there.size:
        raise outside(surface)
    row, col = np.divmod(there, SAMPLES)
    centre = there[np.argmin((row - SAMPLES // 2) ** 2 + (col - SAMPLES // 2) ** 2)]
    lons, lats = np.radians(lon[there]), np.radians(lat[there])
    lon0, lat0 = np.radians(lon[centre]), np.radians(lat[centre])
    near = np.sin(lat0) * np.sin(lats) + np.cos(lat0) * np.cos(lats) * np.cos(lons - lon0)
    if near.min() < FARTHEST:
        return _world(surface)
    return azimuthal(surface, float(lon[centre]), float(lat[centre]))


def azimuthal(surface: Surface, lon: float, lat: float) -> Projection:
    """Onto Lambert's azimuthal equal-area projection around a place in degrees."""
    target = ProjectedCRS(LambertAzimuthalEqualAreaConversion(lat, lon), geodetic_crs=surface.base)
    transformer = pyproj.Transformer.from_crs(surface.crs, target, always_xy=True)

    def to_metres(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        east, north = transformer.transform(x, y)
        return np.asarray(east), np.asarray(north)

    return to_metres


def _world(surface: Surface) -> Projection:
    """Onto Lambert's cylindrical projection, cut open where the CRS's own map is."""
    operation = surface.crs.coordinate_operation
    assert operation is not None, "longitudes and latitudes have a cylinder of their own"
    angle = next(
        (
            float(each.value) * each.unit_conversion_factor
            for each in operation.params
            if each.name.startswith("Longitude of")
        ),
        0.0,
    )
    geod, middle = surface.geod, np.zeros(1)

    def to_metres(x: Floats, y: Floats) -> tuple[Floats, Floats]:
        lon, lat = (np.radians(each) for each in surface.lonlat(x, y))
        turn = lon - angle
        turn = turn - 2 * np.pi * np.rint(turn / (2 * np.pi))
        return geod.a * turn, zone_m2(middle, lat, geod) / geod.a

    return to_metres


def outside(surface: Surface) -> GridError:
    """The error for a grid that has no place on the ellipsoid."""
    return GridError(
        "the CRS does not reach the raster",
        got=surface.crs.name,
        wanted="coordinates that have a longitude and latitude",
        fix="check the CRS and the geotransform: geoseg info",
    )
