"""Polygons as GeoJSON wants them: longitude and latitude, cut at the antimeridian, rounded."""

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
"""About a centimetre, what RFC 7946 has in mind."""
FINER_DECIMALS = 9
"""A tenth of a millimetre, for polygons that are nothing at `DECIMALS`."""
MAX_SEGMENT_M = 250.0
"""An edge this long bends by less than half of the last decimal, up to 77 degrees north."""
MAX_SEGMENT_DEG = 90.0
"""A longer edge could not be told from one that crosses the antimeridian."""


def to_lonlat(
    geometries: NDArray[Any], crs: pyproj.CRS, target: pyproj.CRS = WGS84
) -> NDArray[Any]:
    """Bring polygons into a geographic CRS; those that cross its antimeridian are cut in two.

    Edges get vertices on the way by their length alone, so that neighbours get the same ones.

    Args:
        geometries: (n,) Polygons and MultiPolygons.
        crs: their CRS.
        target: the geographic CRS to go to.

    Returns:
        (n,) Polygons and MultiPolygons with longitudes from -180 to 180.

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
    """Round longitudes and latitudes to 7 decimals; what was valid stays valid.

    Neighbours keep sharing their vertices, as equal ones are rounded alike. Where pixels are about
    as small as the last decimal (a centimetre), corners fall together: a polygon that would not be
    valid any more loses what is narrower than that, and one that would be lost as a whole keeps 9
    decimals.
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
