"""Polygons from one CRS to another, along their true course."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.ground import metres_per_unit
from geoseg.vector.antimeridian import cut

TOLERANCE_M = 0.001
"""By how much an edge may miss its true course: a tenth of a pixel of the finest drone mosaics."""
SHORT_M = 50.0
"""Shorter edges bend by less than that: by length^2 / (8 x Earth radius) x tan(latitude)."""
MAX_PIECES = 8192
"""Enough for an edge that bends by 67 km; one that seems to bend by more crosses the border of the
target's map, and no number of vertices would mend it."""


def reproject(geometries: NDArray[Any], source: pyproj.CRS, target: pyproj.CRS) -> NDArray[Any]:
    """Reproject polygons in one pass.

    A straight edge in one CRS is a curve in another. Long edges get as many additional vertices as
    it takes to stay within a millimetre of that curve, up to some thousands. Polygons that cross
    the antimeridian in the target CRS are cut there.

    Args:
        geometries: (n,) Polygons and MultiPolygons.
        source: their CRS.
        target: the CRS to go to.

    Returns:
        (n,) Polygons and MultiPolygons; coordinates are infinite where the target CRS has none.
    """
    present = ~shapely.is_empty(geometries)
    if not present.any():
        return geometries
    moved = geometries.copy()
    moved[present] = _reproject(geometries[present], source, target)
    return moved


def _reproject(geometries: NDArray[Any], source: pyproj.CRS, target: pyproj.CRS) -> NDArray[Any]:
    """As `reproject`, for geometries none of which is empty: shapely crashes on empty ones."""
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
    """The number of pieces to cut the edge that starts at each point into, (points,).

    The deviation from a straight line falls with the square of the number of pieces.

    Args:
        points: (points, 2) vertices of all rings.
        ring_starts: (rings + 1,) where each ring starts, and where the last one ends.
        transformer: from ``source`` to ``target``.
        source: the CRS of the points.
        target: the CRS to go to.
    """
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
    pieces[edge] = np.clip(np.ceil(np.sqrt(bend / tolerance)), 1, MAX_PIECES)
    return pieces


def _shortest(steps: NDArray[np.float64], crs: pyproj.CRS) -> NDArray[np.float64]:
    """Steps in a CRS, (2, n); those in longitude taken the short way round the globe."""
    if crs.is_geographic:
        steps[0] -= 360 * np.rint(steps[0] / 360)
    return steps


def _split(points: NDArray[np.float64], pieces: NDArray[np.intp]) -> NDArray[np.float64]:
    start = np.repeat(np.arange(len(points)), pieces)
    step = np.arange(len(start)) - (np.cumsum(pieces) - pieces)[start]
    share = (step / pieces[start])[:, None]
    following = points[np.minimum(start + 1, len(points) - 1)]
    return np.where(share == 0, points[start], points[start] + share * (following - points[start]))
