"""How large polygons are on the ground: square metres and metres, whatever the CRS."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj.crs import ProjectedCRS
from pyproj.crs.coordinate_operation import (
    LambertAzimuthalEqualAreaConversion,
    LambertCylindricalEqualAreaConversion,
)

from geoseg import grid
from geoseg.errors import GridError
from geoseg.vector.reproject import metres_per_unit

SNAP_PX = 1e-4
"""Vertices this near to a pixel's corner are there: rounding of coordinates moves them less."""
GEODESIC_M = 5000.0
"""A parallel this long is a tenth of a millimetre longer than the geodesic, at 45 degrees."""
LONGEST_M = 50_000.0
"""An edge this long is a parabola in another projection, to 3 mm."""
EQUAL_AREA = (
    "Lambert Azimuthal Equal Area", "Lambert Cylindrical Equal Area", "Albers Equal Area",
    "Equal Earth", "Sinusoidal",
)  # fmt: skip


def areas_m2(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """The area of each polygon in square metres.

    Planar in transverse Mercator CRSs in metres, such as UTM, and where the CRS keeps areas; else
    in a projection that does, of the CRS's own ellipsoid. Planar areas are computed in pixels, so
    that a polygon along pixel edges has exactly its number of pixels times a pixel's area.

    Args:
        geometries: (n,) Polygons and MultiPolygons, in the CRS of the grid.
        geobox: the grid they were drawn on.

    Raises:
        GridError: the CRS is not tied to the ground.

    Example:
        >>> from affine import Affine
        >>> geobox = GeoBox((2, 3), Affine(0.3, 0, 465180.1, 0, -0.3, 5080250.7), "EPSG:32633")
        >>> x, y = geobox.affine @ (2, 1)
        >>> areas_m2(np.array([shapely.box(465180.1, y, x, 5080250.7)]), geobox) / (0.3 * 0.3)
        array([2.])
    """
    crs = _horizontal(geobox)
    if _is_planar(crs) or _method(crs) in EQUAL_AREA:
        pixel = abs(geobox.affine.determinant) * metres_per_unit(crs) ** 2
        return _areas_px(geometries, geobox) * pixel
    short = shapely.segmentize(geometries, LONGEST_M / metres_per_unit(crs))
    return _areas_there(short, _to_equal_area(geobox, crs))


def perimeters_m(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """The length of all rings of each polygon in metres.

    Planar in transverse Mercator CRSs in metres, else along geodesics.

    Args:
        geometries: (n,) Polygons and MultiPolygons, in the CRS of the grid.
        geobox: the grid they were drawn on.

    Raises:
        GridError: the CRS is not tied to the ground.
    """
    crs = _horizontal(geobox)
    if _is_planar(crs):
        return np.asarray(shapely.length(geometries), dtype=np.float64)
    geod = crs.get_geod()
    assert geod is not None, "a CRS that is tied to the ground has an ellipsoid"
    dense = shapely.segmentize(geometries, GEODESIC_M / metres_per_unit(crs))
    rings, owner = shapely.get_rings(dense, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    to_lonlat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    lon, lat = to_lonlat.transform(*points.T)
    steps = geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]
    within = ring[1:] == ring[:-1]
    return np.bincount(owner[ring[1:][within]], steps[within], minlength=len(geometries))


def to_pixels(points: NDArray[np.float64], geobox: GeoBox) -> NDArray[np.float64]:
    """(n, 2) x and y to columns and rows from the grid's corner; whole where they nearly are."""
    inverse = ~geobox.affine
    x, y = points.T
    cells = np.stack(
        [inverse.a * x + inverse.b * y + inverse.c, inverse.d * x + inverse.e * y + inverse.f],
        axis=1,
    )
    whole = np.rint(cells)
    return np.where(np.abs(cells - whole) < SNAP_PX, whole, cells)


def _areas_px(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """Areas in pixels; sums of whole numbers are exact."""
    if not len(geometries):
        return np.zeros(0)
    _, points, offsets = shapely.to_ragged_array(geometries, include_z=False)
    cells = to_pixels(points, geobox)
    return _enclosed(_doubled(cells, offsets[0]), offsets)


def _areas_there(geometries: NDArray[Any], to_plane: pyproj.Transformer) -> NDArray[np.float64]:
    """Areas in another projection, where edges are parabolas through their ends and middles.

    Between a parabola and its chord lie two thirds of the chord times its rise in the middle.
    """
    if not len(geometries):
        return np.zeros(0)
    _, points, offsets = shapely.to_ragged_array(geometries, include_z=False)
    plane = np.stack(to_plane.transform(*points.T), axis=1)
    middle = np.stack(to_plane.transform(*((points[:-1] + points[1:]) / 2).T), axis=1)
    step, rise = np.diff(plane, axis=0), middle - (plane[:-1] + plane[1:]) / 2
    doubled = _doubled(plane, offsets[0])
    doubled[:-1] += 4 / 3 * (rise[:, 0] * step[:, 1] - rise[:, 1] * step[:, 0])
    return _enclosed(doubled, offsets)


def _doubled(
    points: NDArray[np.float64], ring_starts: NDArray[np.integer[Any]]
) -> NDArray[np.float64]:
    """Twice the area between each edge and the first point of its ring: the shoelace formula."""
    x, y = (points - np.repeat(points[ring_starts[:-1]], np.diff(ring_starts), axis=0)).T
    return np.append(x[:-1] * y[1:] - x[1:] * y[:-1], 0)


def _enclosed(
    doubled: NDArray[np.float64], offsets: tuple[NDArray[np.integer[Any]], ...]
) -> NDArray[np.float64]:
    """What edges enclose: shells without their holes, for each geometry."""
    ring_starts, *groups = offsets
    doubled[ring_starts[1:] - 1] = 0
    areas = -np.abs(np.add.reduceat(doubled, ring_starts[:-1])) / 2
    areas[groups[0][:-1]] *= -1
    for starts in groups:
        areas = np.add.reduceat(areas, starts[:-1])
    return areas


def _horizontal(geobox: GeoBox) -> pyproj.CRS:
    """The grid's CRS without heights and without a way to another datum."""
    crs: pyproj.CRS = grid.crs_of(geobox).proj
    crs = crs.sub_crs_list[0] if crs.is_compound else crs
    crs = crs.source_crs or crs if crs.is_bound else crs
    if crs.geodetic_crs is None:
        raise GridError("the CRS is not tied to the ground", got=crs.name)
    return crs


def _method(crs: pyproj.CRS) -> str:
    operation = crs.coordinate_operation
    return "" if operation is None else str(operation.method_name)


def _is_planar(crs: pyproj.CRS) -> bool:
    """Whether lengths and areas may be taken in the plane: transverse Mercator in metres."""
    return _method(crs) == "Transverse Mercator" and metres_per_unit(crs) == 1


def _to_equal_area(geobox: GeoBox, crs: pyproj.CRS) -> pyproj.Transformer:
    """Into a projection that keeps areas, around the middle of the grid.

    A cylindrical one where parallels and meridians are straight on the grid: they are there too,
    and the whole world has its place in it.
    """
    height, width = geobox.shape
    centre = geobox.affine @ (width / 2, height / 2)
    lon, lat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True).transform(*centre)
    mercator = r"(Popular Visualisation Pseudo )?Mercator"
    straight = crs.is_geographic or re.match(mercator, _method(crs)) is not None
    target = ProjectedCRS(
        LambertCylindricalEqualAreaConversion(0, lon)
        if straight
        else LambertAzimuthalEqualAreaConversion(lat, lon),
        geodetic_crs=crs.geodetic_crs,
    )
    return pyproj.Transformer.from_crs(crs, target, always_xy=True)
