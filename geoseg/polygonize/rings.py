"""Rings and open paths: joined across seams, split into simple rings, put in order."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.boundary_network import CROSSING


@dataclass(frozen=True, eq=False)
class Rings:
    """Simple closed rings: they do not touch themselves, and their face lies on the left.

    Attributes:
        corners: packed corners of all rings; each ring starts at its smallest, none is repeated.
        starts: (n + 1,) where each ring starts in ``corners``.
        face: (n,) face of each ring.
    """

    corners: NDArray[np.int64]
    starts: NDArray[np.int64]
    face: NDArray[np.int32]

    def numbered(self, number: NDArray[np.int32]) -> Rings:
        """The same rings with new numbers of faces."""
        return Rings(self.corners, self.starts, number[self.face])

    def staying(self, number: NDArray[np.int32]) -> Rings:
        """The rings of the faces whose new number is not -1."""
        face = number[self.face]
        chosen = np.flatnonzero(face >= 0)
        if len(chosen) == len(face):
            return Rings(self.corners, self.starts, face)
        starts = offsets(np.diff(self.starts)[chosen])
        corners = np.empty(starts[-1], np.int64)
        _scatter(self.corners, self.starts, chosen, starts[:-1], corners)
        return Rings(corners, starts, face[chosen])


@dataclass(frozen=True, eq=False)
class Paths:
    """Pieces of rings from one port of a band to another, their face on the left.

    Attributes:
        corners: packed corners of all paths; a straight line through the band has none.
        starts: (n + 1,) where each path starts in ``corners``.
        face: (n,) face of each path.
        entry: (n,) port at which it begins: twice the port's number, plus 1 in the last row.
        leave: (n,) port at which it ends, written the same way.
    """

    corners: NDArray[np.int64]
    starts: NDArray[np.int64]
    face: NDArray[np.int32]
    entry: NDArray[np.int32]
    leave: NDArray[np.int32]


def offsets(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Where pieces of some lengths start when laid end to end, and where the last one ends."""
    starts = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=starts[1:])
    return starts


def renumbered(number: NDArray[np.int32], face: NDArray[np.int32]) -> NDArray[np.int32]:
    """Faces renumbered; -1 stays -1."""
    new = np.full(len(face), -1, np.int32)
    inside = face >= 0
    new[inside] = number[face[inside]]
    return new


def in_order(
    rings: tuple[Rings, ...], rank: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """The rings of all faces with a rank, face by face, the shell of each face first.

    The shell holds the smallest corner of its face, the upper left one of the first pixel, so that
    sorting rings by their first corner puts it first.

    Args:
        rings: the rings, in batches.
        rank: position of each face in the result; -1 leaves it out.
        count: number of faces with a rank.

    Returns:
        Where the rings of each face start, where the corners of each ring start, the corners.
    """
    chosen = [np.flatnonzero(rank[each.face] >= 0) for each in rings]
    ranks = _joined([rank[each.face[some]] for each, some in zip(rings, chosen, strict=True)])
    smallest = _joined(
        [each.corners[each.starts[some]] for each, some in zip(rings, chosen, strict=True)]
    )
    lengths = _joined(
        [np.diff(each.starts)[some] for each, some in zip(rings, chosen, strict=True)]
    )
    by_start = np.argsort(smallest, kind="stable")  # nearly sorted already, which makes it fast
    face_starts, order = _by_rank(ranks[by_start].astype(np.int32), count)
    order = by_start[order]
    starts = offsets(lengths[order])
    places = np.empty(len(order), np.int64)
    places[order] = starts[:-1]
    corners = np.empty(starts[-1], np.int64)
    done = 0
    for each, some in zip(rings, chosen, strict=True):
        _scatter(each.corners, each.starts, some, places[done : done + len(some)], corners)
        done += len(some)
    return face_starts, starts, corners


def _joined(arrays: list[NDArray[Any]]) -> NDArray[np.int64]:
    return np.concatenate([np.empty(0, np.int64), *arrays])


@njit(nogil=True, cache=True)
def _by_rank(rank: NDArray[np.int32], count: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """A stable counting sort: where each rank starts, and the items in order."""
    starts = np.zeros(count + 1, np.int64)
    for k in range(len(rank)):
        starts[rank[k] + 1] += 1
    for k in range(count):
        starts[k + 1] += starts[k]
    place = starts[:-1].copy()
    order = np.empty(len(rank), np.int64)
    for k in range(len(rank)):
        order[place[rank[k]]] = k
        place[rank[k]] += 1
    return starts, order


@njit(nogil=True, cache=True)
def _scatter(
    corners: NDArray[np.int64],
    starts: NDArray[np.int64],
    chosen: NDArray[np.int64],
    places: NDArray[np.int64],
    out: NDArray[np.int64],
) -> None:
    """Copy the ``chosen`` rings to their ``places`` in ``out``, which are where they start."""
    for k in range(len(chosen)):
        start = starts[chosen[k]]
        for j in range(starts[chosen[k] + 1] - start):
            out[places[k] + j] = corners[start + j]


def linked(upper: Paths, lower: Paths, ports: int, shift: int) -> tuple[Paths, Rings]:
    """Join paths across a seam: where one leaves through a port, another one enters.

    Args:
        upper: the paths above the seam.
        lower: the paths below it.
        ports: number of ports of the seam.
        shift: added to the faces of the lower paths.

    Returns:
        The paths that are still open, and the rings that are now closed.
    """
    follows = _follows(upper.entry, upper.leave, lower.entry, lower.leave, ports)
    order, chains, still_open = _chains(follows)
    starts = _joined([upper.starts[:-1], lower.starts + upper.starts[-1]])
    face = np.concatenate([upper.face, lower.face + np.int32(shift)])
    entry = np.concatenate([upper.entry, lower.entry])
    leave = np.concatenate([upper.leave, lower.leave])
    ends = offsets(np.diff(starts)[order])
    corners = np.empty(ends[-1], np.int64)
    _scatter(np.concatenate([upper.corners, lower.corners]), starts, order, ends[:-1], corners)
    new, face = ends[chains], face[order[chains[:-1]]]
    split = new[still_open]
    paths = Paths(
        corners[:split],
        new[: still_open + 1],
        face[:still_open],
        entry[order[chains[:still_open]]],
        leave[order[chains[1 : still_open + 1] - 1]],
    )
    closed = tidied(corners[split:].copy(), new[still_open:] - split, face[still_open:])
    return paths, closed


@njit(nogil=True, cache=True)
def _follows(
    upper_entry: NDArray[np.int32],
    upper_leave: NDArray[np.int32],
    lower_entry: NDArray[np.int32],
    lower_leave: NDArray[np.int32],
    ports: int,
) -> NDArray[np.int32]:
    """The path that continues each one, or -1; lower paths are numbered after upper ones."""
    shift = len(upper_entry)
    begins = np.full((2, ports), -1, np.int32)
    for k in range(shift):
        if upper_entry[k] & 1:
            begins[0, upper_entry[k] >> 1] = k
    for k in range(len(lower_entry)):
        if not lower_entry[k] & 1:
            begins[1, lower_entry[k] >> 1] = shift + k
    follows = np.full(shift + len(lower_entry), -1, np.int32)
    for k in range(shift):
        if upper_leave[k] & 1:
            follows[k] = begins[1, upper_leave[k] >> 1]
    for k in range(len(lower_leave)):
        if not lower_leave[k] & 1:
            follows[shift + k] = begins[0, lower_leave[k] >> 1]
    return follows


@njit(nogil=True, cache=True)
def _chains(
    follows: NDArray[np.int32],
) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
    """Chain paths to their continuations: first the chains that stay open, then the closed ones.

    Returns:
        The paths in order, where each chain starts among them, and the number of open chains.
    """
    count = len(follows)
    led_to = np.zeros(count, np.bool_)
    for k in range(count):
        if follows[k] >= 0:
            led_to[follows[k]] = True
    order = np.empty(count, np.int64)
    chains = np.zeros(count + 1, np.int64)
    done = np.zeros(count, np.bool_)
    n, found, still_open = 0, 0, 0
    for closed in (False, True):
        for first in range(count):
            if done[first] or (led_to[first] and not closed):
                continue
            k = first
            while k >= 0 and not done[k]:
                done[k] = True
                order[n] = k
                n += 1
                k = follows[k]
            found += 1
            chains[found] = n
        if not closed:
            still_open = found
    return order, chains[: found + 1], still_open


def tidied(corners: NDArray[np.int64], starts: NDArray[np.int64], face: NDArray[np.int32]) -> Rings:
    """Split rings where they touch themselves; changes ``corners`` in place."""
    starts, source = _tidy(corners, starts)
    return Rings(corners, starts, face[source])


@njit(nogil=True, cache=True)
def _tidy(
    corners: NDArray[np.int64], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split rings into simple ones, each starting at its smallest corner.

    Returns:
        Where the rings now start, and the ring that each was part of.
    """
    rings = len(starts) - 1
    crossings = 0
    for k in range(len(corners)):
        crossings += corners[k] & CROSSING == CROSSING
    new = np.empty(rings + crossings // 2 + 1, np.int64)
    source = np.empty(rings + crossings // 2, np.int64)
    new[0] = 0
    n = 0
    for ring in range(rings):
        part = corners[starts[ring] : starts[ring + 1]]
        partner = _partners(part)
        if len(partner):
            lengths = _cut(part, partner)
            for length in lengths:
                new[n + 1] = new[n] + length
                source[n] = ring
                n += 1
        else:
            new[n + 1] = starts[ring + 1]
            source[n] = ring
            n += 1
    for k in range(n):
        _rotate(corners[new[k] : new[k + 1]])
    return new[: n + 1], source[:n]


@njit(nogil=True, cache=True)
def _partners(ring: NDArray[np.int64]) -> NDArray[np.int64]:
    """For each position of a ring the earlier visit of its corner, or -1; empty without any."""
    found = 0
    for k in range(len(ring)):
        found += ring[k] & CROSSING == CROSSING
    if found < 2:
        return np.empty(0, np.int64)
    places = np.empty(found, np.int64)
    found = 0
    for k in range(len(ring)):
        if ring[k] & CROSSING == CROSSING:
            places[found] = k
            found += 1
    order = np.argsort(ring[places])
    partner = np.empty(0, np.int64)
    for k in range(1, found):
        one, other = places[order[k - 1]], places[order[k]]
        if ring[one] == ring[other]:
            if not len(partner):
                partner = np.full(len(ring), -1, np.int64)
            partner[max(one, other)] = min(one, other)
    return partner


@njit(nogil=True, cache=True)
def _cut(ring: NDArray[np.int64], partner: NDArray[np.int64]) -> NDArray[np.int64]:
    """Reorder a ring that touches itself into simple rings, one after another.

    What lies between the two visits of a corner is a ring of its own. As boundaries never cross,
    the visits nest like brackets, and one pass with a stack finds them. Valid polygons need this:
    OGC simple features forbid rings that touch themselves.

    Returns:
        The lengths of the simple rings.
    """
    stack = np.empty(len(ring), np.int64)
    depth = np.empty(len(ring), np.int64)
    lengths = np.empty(len(ring) // 4 + 1, np.int64)
    n, done, height = 0, 0, 0
    for k in range(len(ring)):
        corner = ring[k]  # read before it is overwritten: ``done`` never overtakes k
        if partner[k] >= 0:
            base = depth[partner[k]]
            ring[done : done + height - base] = stack[base:height]
            lengths[n] = height - base
            done += height - base
            n += 1
            height = base
        depth[k] = height
        stack[height] = corner
        height += 1
    ring[done:] = stack[:height]
    lengths[n] = height
    return lengths[: n + 1]


@njit(nogil=True, cache=True)
def _rotate(ring: NDArray[np.int64]) -> None:
    """Make a ring start at its smallest corner."""
    smallest = 0
    for k in range(1, len(ring)):
        if ring[k] < ring[smallest]:
            smallest = k
    if smallest:
        head = ring[:smallest].copy()
        rest = len(ring) - smallest
        for k in range(rest):
            ring[k] = ring[smallest + k]
        ring[rest:] = head
