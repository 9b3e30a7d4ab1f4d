"""Simplification of arcs that keeps the topology: corners are dropped one at a time.

A corner may be dropped if the triangle with its neighbours holds no other corner of the network:
then no boundary passes through that triangle, and none is crossed or touched when it is cut off.
Corners of all arcs are dropped in one common order, which depends on the network alone.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.arcs import Arcs
from geoseg.polygonize.metric import Metric, area_at
from geoseg.polygonize.point_grid import Cells, is_free, points_at, sorted_cells
from geoseg.polygonize.rings import offsets
from geoseg.polygonize.rules import DouglasPeucker, Visvalingam

FINE = 1 << 30
LOW = (1 << 32) - 1


class _Chain(NamedTuple):
    """Corners as doubly linked lists, and which of them are left."""

    points: NDArray[np.float64]
    before: NDArray[np.int32]
    after: NDArray[np.int32]
    arc: NDArray[np.int32]
    fixed: NDArray[np.bool_]
    alive: NDArray[np.bool_]


def simplified(
    arcs: Arcs, rule: Visvalingam | DouglasPeucker, metric: Metric, shape: tuple[int, int]
) -> Arcs:
    """The same arcs with fewer corners; nodes, and arcs along the outside, stay as they are.

    Args:
        arcs: with points as column and row.
        rule: which corners are dropped.
        metric: of the raster's pixels.
        shape: (height, width) of the raster.
    """
    chain = _chain(arcs.points, arcs.starts, arcs.closed, arcs.outer)
    if isinstance(rule, Visvalingam):
        limit, scale = rule.area_m2 / metric.unit_m2, _scales(arcs.points, metric.areas, shape)
        weight = np.empty(0)
    else:
        limit, scale = rule.distance_m, np.empty(0)
        stretch = metric.stretch(arcs.points[:, 1], shape[0])
        weight = _distances(arcs.points @ metric.metres.T, stretch, arcs.starts, arcs.closed)
    _drop(chain, arcs.starts, arcs.closed, sorted_cells(arcs.points), weight, scale, limit)
    lengths = np.add.reduceat(chain.alive, arcs.starts[:-1], dtype=np.int64)
    return arcs._replace(points=arcs.points[chain.alive], starts=offsets(lengths))


@njit(nogil=True, cache=True)
def _scales(
    points: NDArray[np.float64], areas: NDArray[np.float64], shape: tuple[int, int]
) -> NDArray[np.float64]:
    """The area of a pixel at each point."""
    height, width = shape
    scale = np.empty(len(points))
    for k in range(len(points)):
        col = min(max(points[k, 0] - 0.5, 0.0), width - 1.0)
        row = min(max(points[k, 1] - 0.5, 0.0), height - 1.0)
        scale[k] = area_at(areas, row, col, height, width)
    return scale


@njit(nogil=True, cache=True)
def _chain(
    points: NDArray[np.float64],
    starts: NDArray[np.int64],
    closed: NDArray[np.bool_],
    outer: NDArray[np.bool_],
) -> _Chain:
    count = len(points)
    before = np.arange(-1, count - 1).astype(np.int32)
    after = np.arange(1, count + 1).astype(np.int32)
    arc = np.empty(count, np.int32)
    fixed = np.zeros(count, np.bool_)
    for k in range(len(starts) - 1):
        first, last = starts[k], starts[k + 1] - 1
        arc[first : last + 1] = k
        fixed[first : last + 1] = outer[k]
        if closed[k]:
            before[first], after[last] = last, first
        else:
            fixed[first] = fixed[last] = True
    return _Chain(points, before, after, arc, fixed, np.ones(count, np.bool_))


@njit(nogil=True, cache=True)
def _triangle(
    chain: _Chain, k: int
) -> tuple[tuple[float, float], tuple[float, float], tuple[float, float]]:
    points, a, c = chain.points, chain.before[k], chain.after[k]
    return (
        (points[a, 0], points[a, 1]),
        (points[k, 0], points[k, 1]),
        (points[c, 0], points[c, 1]),
    )


@njit(nogil=True, cache=True)
def _area(chain: _Chain, k: int) -> float:
    (ax, ay), (bx, by), (cx, cy) = _triangle(chain, k)
    return float(abs((bx - ax) * (cy - ay) - (by - ay) * (cx - ax)) / 2)


@njit(nogil=True, cache=True)
def _key(weight: float, limit: float, k: int) -> int:
    """Weight, then a number of the point, in one integer.

    Among equals every fourth point comes first, then the next ones. Dropped one after another, the
    corners of a staircase would each pull the line aside; dropped at random, they make it waver.
    """
    return int(weight / limit * FINE) << 32 | (k & 3) << 30 | k >> 2


@njit(nogil=True, cache=True)
def _drop(
    chain: _Chain,
    starts: NDArray[np.int64],
    closed: NDArray[np.bool_],
    cells: Cells,
    weight: NDArray[np.float64],
    scale: NDArray[np.float64],
    limit: float,
) -> None:
    """Drop corners lighter than the limit, the lightest first, until none can go any more.

    Without weights, a corner weighs the area of its triangle times its scale.
    """
    points, before, after, arc, fixed, alive = chain
    moving = len(weight) == 0
    weight = (
        np.array([_area(chain, k) * scale[k] for k in range(len(points))]) if moving else weight
    )
    left = starts[1:] - starts[:-1]
    went = True
    while went:
        went = False
        heap = [
            _key(weight[k], limit, k)
            for k in range(len(points))
            if alive[k] and not fixed[k] and weight[k] < limit
        ]
        heapq.heapify(heap)
        while heap:
            key = heapq.heappop(heap)
            k = (key & LOW) << 2 & LOW | key >> 30 & 3
            if not alive[k] or _key(weight[k], limit, k) != key:
                continue
            a, c = before[k], after[k]
            least = 3 if closed[arc[k]] else _least(points, starts, arc[k])
            if left[arc[k]] <= least or not is_free(cells, points, alive, _triangle(chain, k)):
                continue
            if left[arc[k]] == 3 and not closed[arc[k]] and _is_taken(chain, starts, cells, a, c):
                continue
            alive[k] = False
            after[a], before[c] = c, a
            left[arc[k]] -= 1
            went = True
            for near in (a, c):
                if moving and not fixed[near]:
                    weight[near] = _area(chain, near) * scale[near]
                    if weight[near] < limit:
                        heapq.heappush(heap, _key(weight[near], limit, near))


@njit(nogil=True, cache=True)
def _least(points: NDArray[np.float64], starts: NDArray[np.int64], arc: int) -> int:
    """How many corners an arc with nodes needs: more if it comes back to the one it left."""
    first, last = starts[arc], starts[arc + 1] - 1
    same = points[first, 0] == points[last, 0] and points[first, 1] == points[last, 1]
    return 4 if same else 2


@njit(nogil=True, cache=True)
def _is_taken(chain: _Chain, starts: NDArray[np.int64], cells: Cells, a: int, c: int) -> bool:
    """Whether another arc is a straight line between two nodes."""
    points = chain.points
    for p in points_at(cells, points, a):
        first, last = starts[chain.arc[p]], starts[chain.arc[p] + 1] - 1
        if p == a or p not in (first, last):
            continue
        other = chain.after[p] if p == first else chain.before[p]
        if points[other, 0] == points[c, 0] and points[other, 1] == points[c, 1]:
            return True
    return False


@njit(nogil=True, cache=True)
def _distances(
    points: NDArray[np.float64],
    stretch: NDArray[np.float64],
    starts: NDArray[np.int64],
    closed: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """The distance up to which Douglas and Peucker would keep each point."""
    far = np.full(len(points), np.inf)
    for arc in range(len(starts) - 1):
        first, last = starts[arc], starts[arc + 1] - 1
        stack = [(first, last, np.inf)]
        if closed[arc]:
            turn = first
            for k in range(first + 1, last + 1):
                if _apart(points, stretch, k, first, first) > _apart(
                    points, stretch, turn, first, first
                ):
                    turn = k
            stack = [(first, turn, np.inf), (turn, last + 1, np.inf)]
        while stack:
            one, other, most = stack.pop()
            if other - one < 2:
                continue
            end = first if other > last else other
            middle, distance = one, -1.0
            for k in range(one + 1, other):
                apart = _apart(points, stretch, k, one, end)
                if apart > distance:
                    middle, distance = k, apart
            far[middle] = min(distance, most)
            stack.append((one, middle, far[middle]))
            stack.append((middle, other, far[middle]))
    return far


@njit(nogil=True, cache=True)
def _apart(
    points: NDArray[np.float64], stretch: NDArray[np.float64], k: int, one: int, other: int
) -> float:
    """The distance of a point from the line between two others, as long as it is at the point."""
    right, down = stretch[k]
    x, y = (points[k, 0] - points[one, 0]) * right, (points[k, 1] - points[one, 1]) * down
    dx = (points[other, 0] - points[one, 0]) * right
    dy = (points[other, 1] - points[one, 1]) * down
    length = np.hypot(dx, dy)
    if length == 0:
        return float(np.hypot(x, y))
    along = min(max((x * dx + y * dy) / length / length, 0.0), 1.0)
    return float(np.hypot(x - along * dx, y - along * dy))
