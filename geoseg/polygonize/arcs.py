"""Rings as sequences of arcs: the boundaries between nodes, each shared by two rings.

The topological data model of GIS (arc-node, as in TopoJSON): an arc is stored, simplified and
smoothed once, so that neighbours keep sharing their edges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.boundary_network import (
    COL_BITS,
    COL_MASK,
    EAST,
    NORTH,
    ROW_BITS,
    SOUTH,
    WEST,
)
from geoseg.polygonize.rings import offsets


class Arcs(NamedTuple):
    """The arcs of a network, each once, and the rings that follow them.

    Attributes:
        points: (n, 2) column and row of the corners of all arcs, arc by arc, both ends included; a
            closed arc holds its start once.
        starts: (m + 1,) where each arc starts.
        closed: (m,) whether the arc is a whole ring without nodes.
        outer: (m,) whether the arc has the outside on one side.
        ring_starts: (r + 1,) where each ring starts in ``ring_arcs`` and ``backwards``.
        ring_arcs: the arcs of all rings, ring by ring, in the order in which they are followed.
        backwards: whether each of them is followed from its end to its start.
    """

    points: NDArray[np.float64]
    starts: NDArray[np.int64]
    closed: NDArray[np.bool_]
    outer: NDArray[np.bool_]
    ring_starts: NDArray[np.int64]
    ring_arcs: NDArray[np.int64]
    backwards: NDArray[np.bool_]


def arcs_of(corners: NDArray[np.int64], starts: NDArray[np.int64]) -> Arcs:
    """Cut rings at their nodes and find the arcs that two of them share.

    An arc is identified by the corner at which it starts and the direction in which it leaves. Of
    its two ends the smaller identifier counts, so that the arc runs the same way in both rings.
    """
    begin, count, name, back, ring_starts = _cut(corners, starts)
    names, chosen, arc = np.unique(np.minimum(name, back), return_index=True, return_inverse=True)
    backwards = name > back
    uses = np.bincount(arc, minlength=len(names))
    closed = count[chosen] < 0
    lengths = np.abs(count[chosen])
    ring = np.searchsorted(ring_starts, chosen, side="right") - 1
    new = offsets(lengths)
    points = _points(corners, starts, ring, begin[chosen], backwards[chosen], closed, new)
    return Arcs(points, new, closed, uses == 1, ring_starts, arc, backwards)


@njit(nogil=True, cache=True)
def _is_node(corner: int) -> bool:
    """Whether three or four boundaries meet in a packed corner."""
    edges = corner & 15
    return (edges & 1) + (edges >> 1 & 1) + (edges >> 2 & 1) + (edges >> 3 & 1) > 2


@njit(nogil=True, cache=True)
def _direction(here: int, there: int) -> int:
    """The direction from one packed corner to the next one of its ring."""
    if here >> ROW_BITS == there >> ROW_BITS:
        return EAST if there > here else WEST
    return SOUTH if there > here else NORTH


@njit(nogil=True, cache=True)
def _cut(
    corners: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[
    NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]
]:
    """Cut rings at their nodes.

    Returns:
        For each piece its first position in its ring, its number of corners with both ends
        (negative for a ring without nodes), and its identifiers from the start and from the end;
        where the pieces of each ring start.
    """
    rings = len(starts) - 1
    ring_starts = np.zeros(rings + 1, np.int64)
    for ring in range(rings):
        nodes = 0
        for k in range(starts[ring], starts[ring + 1]):
            nodes += _is_node(corners[k])
        ring_starts[ring + 1] = ring_starts[ring] + max(nodes, 1)
    begin = np.empty(ring_starts[-1], np.int64)
    count = np.empty(ring_starts[-1], np.int64)
    name = np.empty(ring_starts[-1], np.int64)
    back = np.empty(ring_starts[-1], np.int64)
    for ring in range(rings):
        part = corners[starts[ring] : starts[ring + 1]]
        size = len(part)
        n = ring_starts[ring]
        for k in range(size):
            if _is_node(part[k]):
                begin[n] = k
                n += 1
        last = ring_starts[ring + 1]
        if n == ring_starts[ring]:
            begin[n], count[n] = 0, -size
            name[n] = part[0] & ~15 | _direction(part[0], part[1])
            back[n] = part[0] & ~15 | _direction(part[0], part[size - 1])
            continue
        for n in range(ring_starts[ring], last):
            end = begin[n + 1] if n + 1 < last else begin[ring_starts[ring]] + size
            count[n] = end - begin[n] + 1
            here, there = part[begin[n]], part[end % size]
            name[n] = here & ~15 | _direction(here, part[(begin[n] + 1) % size])
            back[n] = there & ~15 | _direction(there, part[(end - 1) % size])
    return begin, count, name, back, ring_starts


@njit(nogil=True, cache=True)
def _points(
    corners: NDArray[np.int64],
    starts: NDArray[np.int64],
    ring: NDArray[np.int64],
    begin: NDArray[np.int64],
    backwards: NDArray[np.bool_],
    closed: NDArray[np.bool_],
    new: NDArray[np.int64],
) -> NDArray[np.float64]:
    points = np.empty((new[-1], 2))
    for arc in range(len(ring)):
        part = corners[starts[ring[arc]] : starts[ring[arc] + 1]]
        size = new[arc + 1] - new[arc]
        for k in range(size):
            corner = part[(begin[arc] + k) % len(part)]
            at = new[arc] + k
            if backwards[arc]:
                at = new[arc] + (size - k) % size if closed[arc] else new[arc + 1] - 1 - k
            points[at, 0] = corner >> COL_BITS & COL_MASK
            points[at, 1] = corner >> ROW_BITS
    return points


@njit(nogil=True, cache=True)
def ring_points(arcs: Arcs) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Put the arcs of each ring together again: the points of all rings, and where each starts."""
    rings = len(arcs.ring_starts) - 1
    starts = np.zeros(rings + 1, np.int64)
    for ring in range(rings):
        starts[ring + 1] = starts[ring]
        for k in range(arcs.ring_starts[ring], arcs.ring_starts[ring + 1]):
            arc = arcs.ring_arcs[k]
            starts[ring + 1] += arcs.starts[arc + 1] - arcs.starts[arc] - (not arcs.closed[arc])
    points = np.empty((starts[-1], 2))
    n = 0
    for k in range(len(arcs.ring_arcs)):
        arc = arcs.ring_arcs[k]
        first, stop = arcs.starts[arc], arcs.starts[arc + 1]
        for j in range(stop - first - (not arcs.closed[arc])):
            points[n] = arcs.points[stop - 1 - j if arcs.backwards[k] else first + j]
            n += 1
    return points, starts
