"""Polygons in longitude and latitude, cut at the antimeridian and rounded, as RFC 7946 asks for."""

from __future__ import annotations

import logging
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.errors import VectorError
from geoseg.ground import metres_per_unit
from geoseg.vector.antimeridian import cut

logger = logging.getLogger(__name__)
WGS84 = pyproj.CRS("OGC:CRS84")
DECIMALS = 7
"""A centimetre at the equator; RFC 7946 (section 11.2) advises against more than is meaningful."""
FINER_DECIMALS = 9
"""A tenth of a millimetre, for polygons that would vanish at `DECIMALS`."""
MAX_SEGMENT_M = 250.0
"""An edge of this length bends by less than half of the last decimal, up to 77 degrees north."""
MAX_SEGMENT_DEG = 90.0
"""Between two points further apart, the way across the antimeridian could be the shorter one."""


def to_lonlat(
    geometries: NDArray[Any], crs: pyproj.CRS, target: pyproj.CRS = WGS84
) -> NDArray[Any]:
    """Bring polygons into a geographic CRS; those that cross its antimeridian are cut in two.

    Where edges get additional vertices depends on their length alone, so that neighbours keep
    sharing theirs.

    Args:
        geometries: (n,) Polygons and MultiPolygons.
        crs: their CRS.
        target: the geographic CRS to go to.

    Returns:
        (n,) Polygons and MultiPolygons, with longitudes from -180 to 180.

    Raises:
        VectorError: a vertex has no longitude and latitude.
    """
    if not len(geometries):
        return geometries
    longest = MAX_SEGMENT_DEG if crs.is_geographic else MAX_SEGMENT_M / metres_per_unit(crs)
    dense = shapely.orient_polygons(shapely.segmentize(geometries, longest))
    transformer = pyproj.Transformer.from_crs(crs, target, always_xy=True)
    moved = shapely.transform(dense, transformer.transform, interleaved=False)
    lost = ~np.isfinite(shapely.bounds(moved)).all(axis=1)
    if lost.any():
        raise VectorError(
            f"{lost.sum()} polygons have no longitude and latitude",
            got=crs.name,
            fix="write a format that keeps the CRS, such as .gpkg",
        )
    return cut(moved)


def rounded(geometries: NDArray[Any]) -> NDArray[Any]:
    """Round longitudes and latitudes to 7 decimals; valid polygons stay valid.

    Neighbours keep sharing their vertices, as equal ones are rounded alike. With pixels of about a
    centimetre, the size of the last decimal, corners may coincide: a polygon that would become
    invalid loses the parts narrower than that, and one that would vanish keeps 9 decimals.

    Args:
        geometries: (n,) Polygons and MultiPolygons.

    Returns:
        (n,) Polygons and MultiPolygons with counter-clockwise outer rings.
    """
    near = _rounded(geometries, DECIMALS)
    lost = shapely.is_empty(near)
    if lost.any():
        logger.info("%d polygons are too small for %d decimals", lost.sum(), DECIMALS)
        near[lost] = _rounded(geometries[lost], FINER_DECIMALS)
    return np.asarray(shapely.orient_polygons(near))


def _rounded(geometries: NDArray[Any], decimals: int) -> NDArray[Any]:
    def rounding(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.round(points, decimals)

    near = shapely.transform(geometries, rounding)
    broken = ~shapely.is_valid(near)
    repaired = shapely.set_precision(geometries[broken], 10.0**-decimals)
    near[broken] = shapely.transform(repaired, rounding)
    return np.asarray(shapely.remove_repeated_points(near))
