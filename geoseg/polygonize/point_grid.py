"""Points sorted into square cells: a spatial index to find those that lie in a triangle."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

SIDE = 8.0
"""In pixels: a cell holds some dozens of points even in noise, and the triangle of a corner meets
one cell or a few."""

NEAR = 1e-9
"""In pixels: a point this near to a triangle counts as inside, as coordinates are rounded."""


class Cells(NamedTuple):
    """Positions of points, by cell.

    Attributes:
        shape: number of cells down and across.
        starts: (cells + 1,) where each cell's points start in ``items``.
        items: positions of the points.
    """

    shape: tuple[int, int]
    starts: NDArray[np.int64]
    items: NDArray[np.int32]


@njit(nogil=True, cache=True)
def sorted_cells(points: NDArray[np.float64]) -> Cells:
    """Sort points with coordinates >= 0 into cells (a counting sort)."""
    across, down = 1, 1
    for k in range(len(points)):
        across = max(across, int(points[k, 0] / SIDE) + 1)
        down = max(down, int(points[k, 1] / SIDE) + 1)
    starts = np.zeros(down * across + 1, np.int64)
    for k in range(len(points)):
        starts[int(points[k, 1] / SIDE) * across + int(points[k, 0] / SIDE) + 1] += 1
    for cell in range(down * across):
        starts[cell + 1] += starts[cell]
    place = starts[:-1].copy()
    items = np.empty(len(points), np.int32)
    for k in range(len(points)):
        cell = int(points[k, 1] / SIDE) * across + int(points[k, 0] / SIDE)
        items[place[cell]] = k
        place[cell] += 1
    return Cells((down, across), starts, items)


@njit(nogil=True, cache=True)
def is_free(
    cells: Cells,
    points: NDArray[np.float64],
    alive: NDArray[np.bool_],
    corners: tuple[tuple[float, float], tuple[float, float], tuple[float, float]],
) -> bool:
    """Whether no living point, its own corners apart, lies in a triangle or on its sides."""
    (ax, ay), (bx, by), (cx, cy) = corners
    turn = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
    if turn < 0:
        bx, by, cx, cy = cx, cy, bx, by
    slack = -NEAR * (abs(bx - ax) + abs(by - ay) + abs(cx - ax) + abs(cy - ay))
    left, right = min(ax, bx, cx) - NEAR, max(ax, bx, cx) + NEAR
    top, bottom = min(ay, by, cy) - NEAR, max(ay, by, cy) + NEAR
    down, across = cells.shape
    for i in range(max(int(top / SIDE), 0), min(int(bottom / SIDE) + 1, down)):
        for j in range(max(int(left / SIDE), 0), min(int(right / SIDE) + 1, across)):
            cell = i * across + j
            for k in range(cells.starts[cell], cells.starts[cell + 1]):
                p = cells.items[k]
                x, y = points[p, 0], points[p, 1]
                if not alive[p] or x < left or x > right or y < top or y > bottom:
                    continue
                if (x == ax and y == ay) or (x == bx and y == by) or (x == cx and y == cy):
                    continue
                if (
                    (bx - ax) * (y - ay) - (by - ay) * (x - ax) >= slack
                    and (cx - bx) * (y - by) - (cy - by) * (x - bx) >= slack
                    and (ax - cx) * (y - cy) - (ay - cy) * (x - cx) >= slack
                ):
                    return False
    return True


@njit(nogil=True, cache=True)
def points_at(cells: Cells, points: NDArray[np.float64], k: int) -> NDArray[np.int32]:
    """All points at the position of point ``k``, itself included."""
    cell = int(points[k, 1] / SIDE) * cells.shape[1] + int(points[k, 0] / SIDE)
    items = cells.items[cells.starts[cell] : cells.starts[cell + 1]]
    same: NDArray[np.int32] = items[
        (points[items, 0] == points[k, 0]) & (points[items, 1] == points[k, 1])
    ]
    return same
