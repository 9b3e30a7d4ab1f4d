"""Smoothing of arcs by corner cutting, wherever nothing else lies in a corner.

Chaikin 1974, An algorithm for high-speed curve generation: a corner is replaced by the points at a
quarter of the two edges that meet there. Long edges lose two pixels at most, so that fields stay
fields and do not become ellipses. If no other corner of the network lies in the triangle that is
cut off, no boundary does, and no two such triangles overlap: all corners can be cut at once, and
the order cannot matter.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.arcs import Arcs
from geoseg.polygonize.point_grid import Cells, is_free, sorted_cells
from geoseg.polygonize.rings import offsets

CUT = 0.25
"""Chaikin's ratio: repeated, it leads to a quadratic B-spline (Riesenfeld 1975)."""
REACH = 2.0
"""What an edge loses at either end at most, in pixels."""


def smoothed(arcs: Arcs, times: int, shape: tuple[int, int]) -> Arcs:
    """The same arcs with their corners cut; nodes and the edge of the raster stay.

    Areas are kept: an arc that turns both ways is cut less on the side that would lose more. An arc
    that turns one way only cannot balance; it is cut all the same, unless it borders the outside.

    Args:
        arcs: the arcs.
        times: number of rounds.
        shape: (height, width) of the raster.
    """
    for _ in range(times):
        cells = sorted_cells(arcs.points)
        cut = _cuts(arcs, cells, shape[0], shape[1])
        starts = offsets(np.add.reduceat(1 + (cut > 0), arcs.starts[:-1]))
        arcs = arcs._replace(points=_cut_off(arcs, cut, starts), starts=starts)
    return arcs


@njit(nogil=True, cache=True)
def _near(arcs: Arcs, arc: int, k: int) -> tuple[int, int]:
    """The positions before and after an inner point of an arc."""
    first, last = arcs.starts[arc], arcs.starts[arc + 1] - 1
    return last if k == first else k - 1, first if k == last else k + 1


@njit(nogil=True, cache=True)
def _towards(points: NDArray[np.float64], k: int, to: int, share: float) -> tuple[float, float]:
    """The point on the edge to another corner at which the cut begins, or a share of that way."""
    x, y = points[k]
    right, down = points[to, 0] - x, points[to, 1] - y
    length = np.hypot(right, down)
    part = share * CUT if length * CUT <= REACH else share * REACH / length
    return x + part * right, y + part * down


@njit(nogil=True, cache=True)
def _cuts(arcs: Arcs, cells: Cells, height: int, width: int) -> NDArray[np.float64]:
    """How much each corner is cut: from 0, not at all, to 1, as far as it may be."""
    points, starts = arcs.points, arcs.starts
    alive = np.ones(len(points), np.bool_)
    cut = np.zeros(len(points))
    for arc in range(len(starts) - 1):
        inner = 0 if arcs.closed[arc] else 1
        left, right = 0.0, 0.0
        for k in range(starts[arc] + inner, starts[arc + 1] - inner):
            x, y = points[k]
            if x in (0, width) or y in (0, height):
                continue
            a, c = _near(arcs, arc, k)
            one, other = _towards(points, k, a, 1.0), _towards(points, k, c, 1.0)
            area = (one[0] - x) * (other[1] - y) - (one[1] - y) * (other[0] - x)
            if area == 0 or not is_free(cells, points, alive, (one, (x, y), other)):
                continue
            cut[k] = 1 if area > 0 else -1
            left += max(area, 0.0)
            right += max(-area, 0.0)
        most = max(left, right)
        keep = min(left, right) if min(left, right) > 0 or arcs.outer[arc] else most
        for k in range(starts[arc] + inner, starts[arc + 1] - inner):
            side = left if cut[k] > 0 else right
            cut[k] = abs(cut[k]) * np.sqrt(min(keep / side, 1.0)) if cut[k] else 0.0
    return cut


@njit(nogil=True, cache=True)
def _cut_off(arcs: Arcs, cut: NDArray[np.float64], new: NDArray[np.int64]) -> NDArray[np.float64]:
    points = np.empty((new[-1], 2))
    n = 0
    for arc in range(len(new) - 1):
        for k in range(arcs.starts[arc], arcs.starts[arc + 1]):
            if cut[k] == 0:
                points[n] = arcs.points[k]
                n += 1
                continue
            a, c = _near(arcs, arc, k)
            points[n] = _towards(arcs.points, k, a, cut[k])
            points[n + 1] = _towards(arcs.points, k, c, cut[k])
            n += 2
    return points
