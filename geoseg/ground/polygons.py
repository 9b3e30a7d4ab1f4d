"""How large polygons are on the ground."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.ground.plane import Plane, Projection, is_transverse, plane_of
from geoseg.ground.surface import Surface, surface_of

logger = logging.getLogger(__name__)

GEODESIC = 1 / 1276
"""A parallel this many radii long (5 km on the Earth) is 0.1 mm longer than the geodesic at 45
degrees."""
LONGEST = 1 / 128
"""An edge this many radii long (50 km on the Earth) is a parabola in another projection, to
3 mm."""


def areas_m2(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """The area of each polygon in square metres.

    It is that on the CRS's own ellipsoid; in transverse Mercator in metres, such as UTM, that in
    the plane (see `geoseg.ground.plane`). Planar areas are computed in pixels, so that a polygon
    along pixel edges has exactly its number of pixels times a pixel's area.

    Args:
        geometries: (n,) Polygons and MultiPolygons, in the CRS of the grid.
        geobox: the grid they were drawn on.

    Returns:
        (n,) areas; NaN where a polygon reaches beyond the edge of the CRS's map.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.

    Example:
        >>> from affine import Affine
        >>> geobox = GeoBox((2, 3), Affine(0.3, 0, 465180.1, 0, -0.3, 5080250.7), "EPSG:32633")
        >>> x, y = geobox.affine @ (2, 1)
        >>> areas_m2(np.array([shapely.box(465180.1, y, x, 5080250.7)]), geobox) / (0.3 * 0.3)
        array([2.])
    """
    plane = plane_of(geobox)
    return _known(enclosed_m2(geometries, geobox, plane), plane.surface)


def perimeters_m(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """The length of all rings of each polygon in metres.

    Planar in transverse Mercator, where areas are; else along geodesics.

    Args:
        geometries: (n,) Polygons and MultiPolygons, in the CRS of the grid.
        geobox: the grid they were drawn on.

    Raises:
        GridError: the CRS is not tied to the ground.
    """
    surface = surface_of(grid.crs_of(geobox).proj)
    if is_transverse(plane_of(geobox)):
        return np.asarray(shapely.length(geometries), dtype=np.float64)
    longest = GEODESIC * surface.geod.a / surface.metres_per_unit
    rings, owner = shapely.get_rings(shapely.segmentize(geometries, longest), return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    lon, lat = surface.lonlat(*points.T)
    lat = np.where(np.isfinite(lat), np.clip(lat, -90, 90), lat)
    steps = np.asarray(surface.geod.inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2])
    within = ring[1:] == ring[:-1]
    lengths = np.bincount(owner[ring[1:][within]], steps[within], minlength=len(geometries))
    return _known(lengths, surface)


def enclosed_m2(geometries: NDArray[Any], geobox: GeoBox, plane: Plane) -> NDArray[np.float64]:
    """As `areas_m2`, on a plane that is known already; not finite beyond the edge of the map."""
    if plane.unit_m2 is not None:
        pixel = abs(float(geobox.affine.determinant)) * plane.unit_m2
        return _areas_px(geometries, geobox) * pixel
    surface = plane.surface
    longest = LONGEST * surface.geod.a / surface.metres_per_unit
    with np.errstate(invalid="ignore"):
        return _areas_there(shapely.segmentize(geometries, longest), plane.to_metres)


def _known(found: NDArray[np.float64], surface: Surface) -> NDArray[np.float64]:
    """Sizes; NaN, with a warning, for polygons that reach beyond the edge of the CRS's map."""
    lost = ~np.isfinite(found)
    if lost.any():
        text = "%d polygons reach beyond the edge of %s: their sizes are unknown"
        logger.warning(text, lost.sum(), surface.crs.name)
        found[lost] = np.nan
    return found


def _areas_px(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """Areas in pixels; sums of whole numbers are exact."""
    if not len(geometries):
        return np.zeros(0)
    _, points, offsets = shapely.to_ragged_array(geometries, include_z=False)
    cells = grid.to_pixels(points, geobox)
    return _enclosed(_doubled(cells, offsets[0]), offsets)


def _areas_there(geometries: NDArray[Any], to_metres: Projection) -> NDArray[np.float64]:
    """Areas in another projection, where edges are parabolas through their ends and middles.

    Between a parabola and its chord lie two thirds of the chord times its rise in the middle.
    """
    if not len(geometries):
        return np.zeros(0)
    _, points, offsets = shapely.to_ragged_array(geometries, include_z=False)
    plane = np.stack(to_metres(*points.T), axis=1)
    middle = np.stack(to_metres(*((points[:-1] + points[1:]) / 2).T), axis=1)
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
