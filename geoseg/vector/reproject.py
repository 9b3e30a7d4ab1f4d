"""Polygons from one CRS to another without bending what was straight."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.ground import metres_per_unit
from geoseg.vector.antimeridian import cut

TOLERANCE_M = 0.001
"""How far an edge may depart from its true course: a tenth of the finest drone mosaic's pixel."""
SHORT_M = 50.0
"""Edges up to this length bend by less than that (length^2 / 8 earth radii x tan(latitude))."""
MOST_PIECES = 8192
"""An edge that bends by 67 km; one that bends by more is torn by the edge of the target's map."""


def reproject(geometries: NDArray[Any], source: pyproj.CRS, target: pyproj.CRS) -> NDArray[Any]:
    """Reproject polygons in one pass.

    A straight edge in one CRS is a curve in another: long edges get vertices on the way, as many
    as it takes to stay within a millimetre of the true course, and no more than some thousands.
    Polygons that come to lie across the antimeridian are cut there.

    Args:
        geometries: (n,) Polygons and MultiPolygons.
        source: their CRS.
        target: the CRS to go to.

    Returns:
        (n,) Polygons and MultiPolygons; coordinates are infinite where the target has none.
    """
    present = ~shapely.is_empty(geometries)
    if not present.any():
        return geometries
    moved = geometries.copy()
    moved[present] = _reproject(geometries[present], source, target)
    return moved


def _reproject(geometries: NDArray[Any], source: pyproj.CRS, target: pyproj.CRS) -> NDArray[Any]:
    """As `reproject`, without empty geometries: shapely crashes on making them from arrays."""
    transformer = pyproj.Transformer.from_crs(source, target, always_xy=True)
    wraps = target.is_geographic and not source.is_geographic
    if wraps:
        geometries = shapely.orient_polygons(geometries)
    kind, points, offsets = shapely.to_ragged_array(geometries, include_z=False)
    pieces = _pieces(points, offsets[0], transformer, source, target)
    dense = _split(points, pieces)
    starts = np.concatenate([[0], np.cumsum(pieces)])[offsets[0]]
    moved = np.stack(transformer.transform(*dense.T), axis=1)
    polygons = np.asarray(shapely.from_ragged_array(kind, moved, (starts, *offsets[1:])))
    if wraps:
        there = np.isfinite(shapely.bounds(polygons)).all(axis=1)
        polygons[there] = cut(polygons[there])
    return polygons


def _pieces(
    points: NDArray[np.float64],
    ring_starts: NDArray[np.integer[Any]],
    transformer: pyproj.Transformer,
    source: pyproj.CRS,
    target: pyproj.CRS,
) -> NDArray[np.intp]:
    """Into how many pieces to cut the edge that starts at each point; 1 for a ring's last point."""
    pieces = np.ones(len(points), dtype=np.intp)
    starts = np.ones(len(points), dtype=bool)
    starts[ring_starts[1:] - 1] = False
    edge = np.flatnonzero(starts)
    length = np.hypot(*(points[edge + 1] - points[edge]).T)
    edge = edge[length * metres_per_unit(source) > SHORT_M]
    first, last = points[edge], points[edge + 1]
    ends = (np.stack(transformer.transform(*each.T)) for each in (first, last))
    first_to, last_to = ends
    way = _shortest(last_to - first_to, target)
    bend = np.zeros(len(edge))
    for share in (0.25, 0.5, 0.75):
        course = np.stack(transformer.transform(*(first + share * (last - first)).T))
        bend = np.fmax(bend, np.hypot(*_shortest(course - first_to - share * way, target)))
    bend[~np.isfinite(bend)] = 0
    tolerance = TOLERANCE_M / metres_per_unit(target)
    pieces[edge] = np.clip(np.ceil(np.sqrt(bend / tolerance)), 1, MOST_PIECES)
    return pieces


def _shortest(steps: NDArray[np.float64], crs: pyproj.CRS) -> NDArray[np.float64]:
    """Steps in a CRS, (2, n); those in longitude not the long way round."""
    if crs.is_geographic:
        steps[0] -= 360 * np.rint(steps[0] / 360)
    return steps


def _split(points: NDArray[np.float64], pieces: NDArray[np.intp]) -> NDArray[np.float64]:
    start = np.repeat(np.arange(len(points)), pieces)
    step = np.arange(len(start)) - (np.cumsum(pieces) - pieces)[start]
    share = (step / pieces[start])[:, None]
    following = points[np.minimum(start + 1, len(points) - 1)]
    return np.where(share == 0, points[start], points[start] + share * (following - points[start]))
