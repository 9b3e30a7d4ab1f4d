"""The boundary network of a band of rows, and the rings and open paths along it.

A pixel corner is a vertex where a boundary turns, ends on another one, or crosses it. The next
vertex east or west along a boundary is the neighbour in row-major order, so that only links north
and south are stored. A boundary leaves the band through a port: a place where the class changes
within its first or its last row.

Corners are packed into one integer, ``row << 34 | column << 4 | edges``, which sorts row by row;
the bits of ``edges`` are set where a boundary leaves to the east, south, west, north.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.runs import Runs

EAST, SOUTH, WEST, NORTH = range(4)
ROW_BITS, COL_BITS, COL_MASK = 34, 4, (1 << 30) - 1
CROSSING = 15
"""The edges of a corner where boundaries cross."""


def _turns() -> NDArray[np.uint8]:
    """The direction in which to leave a corner, by its edges and the direction of arrival.

    The face lies on the left hand, so the leftmost edge is taken: at a crossing this keeps faces
    that touch in a corner apart, as 4-connectivity wants it.
    """
    turns = np.zeros((16, 4), np.uint8)
    for edges in range(16):
        for arrival in range(4):
            for turn in (3, 0, 1):
                if edges >> (arrival + turn) % 4 & 1:
                    turns[edges, arrival] = (arrival + turn) % 4
                    break
    return turns


TURNS = _turns()


class Network(NamedTuple):
    """The vertices of a band, row by row.

    Attributes:
        corner: (n,) packed corners.
        north: (n,) next vertex to the north; -2 - p where the boundary leaves through port p.
        south: (n,) next vertex to the south, or a port likewise.
        start: (m, 3) vertices where a ring can start, which have edges to the east and the south;
            the face between the two; the face north of the eastern edge.
        top: first vertex below each port of the first row; -1 where there is none.
        bottom: last vertex above each port of the last row; -2 - p where the boundary comes
            straight from port p of the first row.
        edges: number of edges that leave vertices, which is the number of corners of all rings.
    """

    corner: NDArray[np.int64]
    north: NDArray[np.int32]
    south: NDArray[np.int32]
    start: NDArray[np.int32]
    top: NDArray[np.int32]
    bottom: NDArray[np.int32]
    edges: int


class Walked(NamedTuple):
    """Closed rings and open paths, their face on the left; those around the outside are left out.

    Attributes:
        rings: packed corners of all rings, each ring starting at its smallest.
        ring_starts: (n + 1,) where each ring starts in ``rings``.
        ring_face: (n,) face of each ring.
        paths: packed corners of all paths.
        path_starts: (m + 1,) where each path starts in ``paths``.
        path_face: (m,) face of each path.
        entry: (m,) port at which a path begins: twice its number, plus 1 in the last row.
        leave: (m,) port at which it ends, written the same way.
    """

    rings: NDArray[np.int64]
    ring_starts: NDArray[np.int64]
    ring_face: NDArray[np.int32]
    paths: NDArray[np.int64]
    path_starts: NDArray[np.int64]
    path_face: NDArray[np.int32]
    entry: NDArray[np.int32]
    leave: NDArray[np.int32]


@njit(nogil=True, cache=True)
def find_network(runs: Runs, first_row: int) -> Network:
    """The vertices between the rows of a band whose first row of codes is ``first_row``."""
    row, start, face = runs
    rows = len(row) - 1
    cols = start[row[1] - 1]
    most = 2 * len(start)  # each vertex lies at a change of class above or below it
    corner = np.empty(most, np.int64)
    north = np.empty(most, np.int32)
    south = np.empty(most, np.int32)
    starts = np.empty((most, 3), np.int32)
    above = np.empty(cols + 1, np.int32)
    top = np.full(row[1] - row[0] - 2, -1, np.int32)
    for port in range(len(top)):
        above[start[row[0] + 1 + port]] = -2 - port
    n, found, edges = 0, 0, 0
    for i in range(rows - 1):
        high = np.int64(first_row + i + 1) << ROW_BITS
        a, b = row[i], row[i + 1]
        right = False
        while True:
            x = min(start[a + 1], start[b + 1])
            if x == cols:
                break
            left = right
            up, down = start[a + 1] == x, start[b + 1] == x
            a += up
            b += down
            right = face[a] != face[b]
            if up == down and left == right and not (up and left):
                continue
            corner[n] = high | (x - 1) << COL_BITS | (right | down << 1 | left << 2 | up << 3)
            edges += right + down + left + up
            if up:
                over = above[x]
                north[n] = over
                if over >= 0:
                    south[over] = n
                else:
                    top[-2 - over] = n
            if down:
                above[x] = n
            if right and down:
                starts[found, 0], starts[found, 1], starts[found, 2] = n, face[b], face[a]
                found += 1
            n += 1
    bottom = np.empty(row[rows] - row[rows - 1] - 2, np.int32)
    for port in range(len(bottom)):
        over = above[start[row[rows - 1] + 1 + port]]
        bottom[port] = over
        if over >= 0:
            south[over] = -2 - port
    return Network(corner[:n], north[:n], south[:n], starts[:found], top, bottom, edges)


@njit(nogil=True, cache=True)
def walk(net: Network, runs: Runs) -> Walked:
    """Follow every edge of the network once in each direction."""
    corners = np.empty(net.edges, np.int64)
    done = np.zeros(len(net.corner), np.uint8)
    path_starts, path_face, entry, leave = _walk_paths(net, runs, corners, done)
    n = path_starts[-1]
    ring_starts, ring_face = _walk_rings(net, corners[n:], done)
    return Walked(
        corners[n : n + ring_starts[-1]],
        ring_starts,
        ring_face,
        corners[:n],
        path_starts,
        path_face,
        entry,
        leave,
    )


@njit(nogil=True, cache=True)
def _walk_paths(
    net: Network, runs: Runs, corners: NDArray[np.int64], done: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    row, _, face = runs
    most = len(net.top) + len(net.bottom)
    starts = np.zeros(most + 1, np.int64)
    faces = np.empty(most, np.int32)
    entry = np.empty(most, np.int32)
    leave = np.empty(most, np.int32)
    through = np.empty(len(net.top), np.int32)
    for port in range(len(net.bottom)):
        if net.bottom[port] < 0:
            through[-2 - net.bottom[port]] = port
    paths = 0
    n = 0
    for k in range(most):
        down = k < len(net.top)
        port = k if down else k - len(net.top)
        v = net.top[port] if down else net.bottom[port]
        side = face[row[0] + port + 1] if down else face[row[len(row) - 2] + port]
        d = SOUTH if down else NORTH
        if down and v < 0:  # straight through: ``bottom`` holds the other end
            v = -2 - through[port]
        while v >= 0:
            d = TURNS[net.corner[v] & 15, d]
            corners[n] = net.corner[v]
            n += 1
            done[v] |= 1 << d
            v = _next(net, v, d)
        if side < 0:
            n = starts[paths]
            continue
        faces[paths] = side
        entry[paths] = 2 * port + (not down)
        leave[paths] = 2 * (-2 - v) + (d == SOUTH)
        paths += 1
        starts[paths] = n
    return starts[: paths + 1], faces[:paths], entry[:paths], leave[:paths]


@njit(nogil=True, cache=True)
def _walk_rings(
    net: Network, corners: NDArray[np.int64], done: NDArray[np.uint8]
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    starts = np.zeros(len(corners) // 4 + 1, np.int64)
    faces = np.empty(len(corners) // 4, np.int32)
    rings = 0
    n = 0
    for k in range(len(net.start)):
        first = net.start[k, 0]
        for d0 in (SOUTH, EAST):
            if done[first] >> d0 & 1:
                continue
            v, d = first, d0
            while True:
                corners[n] = net.corner[v]
                n += 1
                done[v] |= 1 << d
                v = _next(net, v, d)
                d = TURNS[net.corner[v] & 15, d]
                if v == first and d == d0:
                    break
            side = net.start[k, 1 if d0 == SOUTH else 2]
            if side < 0:
                n = starts[rings]
                continue
            faces[rings] = side
            rings += 1
            starts[rings] = n
    return starts[: rings + 1], faces[:rings]


@njit(nogil=True, cache=True)
def _next(net: Network, v: int, d: int) -> int:
    """The next vertex in a direction, or -2 - p where the boundary leaves through port p."""
    if d == EAST:
        return v + 1
    if d == WEST:
        return v - 1
    beyond: int = net.south[v] if d == SOUTH else net.north[v]
    return beyond
