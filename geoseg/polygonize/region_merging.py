"""Merging of small regions and small holes into neighbours, in an order no tiling can change."""

from __future__ import annotations

import heapq
from math import ceil
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.metric import Metric
from geoseg.polygonize.region_graph import Graph
from geoseg.polygonize.rules import Rules
from geoseg.polygonize.runs import root_of

UNMET = -1
MOST = 1 << 62
"""More area units than any raster has, and still within 64 bits."""


def merged(graph: Graph, rules: Rules, metric: Metric) -> NDArray[Any]:
    """The class of each region once small ones have been merged into neighbours.

    First, regions below the smallest area are merged, smallest first, those of one size in the
    order of first pixels. Each takes the class of the neighbour with the longest shared boundary
    (among equals the larger one, then the one with the earlier first pixel), and becomes one region
    with all its neighbours of that class. Then holes are filled: whatever a region cuts off from
    the outside is merged into it, if smaller than the limit.

    Args:
        graph: the regions, in the order of first pixels.
        rules: the limits, ``min_area_m2`` and ``max_hole_m2``.
        metric: for the unit of the graph's areas.
    """
    least, most = (_whole(m2, metric) for m2 in (rules.min_area_m2, rules.max_hole_m2))
    parent, head, follow, other = _merge_small(
        graph.code, graph.area, graph.one, graph.other, graph.length, least
    )
    if most > 0:
        _fill_holes(parent, head, follow, other, np.tile(graph.length, 2), graph.area, most)
    return graph.code[_roots(parent)[:-1]]


def _whole(m2: float, metric: Metric) -> int:
    """An area in whole units, rounded up.

    The factor keeps an exact multiple of the unit, a limit of 4 pixels say, from rounding up to
    one unit more.
    """
    return min(ceil(m2 / metric.unit_m2 * (1 - 1e-9)), MOST)


@njit(nogil=True, cache=True)
def _roots(parent: NDArray[np.int32]) -> NDArray[np.int32]:
    return np.array([root_of(parent, item) for item in range(len(parent))], dtype=np.int32)


@njit(nogil=True, cache=True)
def _listed(
    one: NDArray[np.int32], other: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """The edges of each region as linked lists; the last region is the outside.

    Edge k is item k seen from one region and item k + m seen from the other.

    Returns:
        The first and last item of each region, the item after each item, and the region beyond it.
    """
    m = len(one)
    head = np.full(count + 1, -1, np.int32)
    tail = np.full(count + 1, -1, np.int32)
    follow = np.full(2 * m, -1, np.int32)
    beyond = np.empty(2 * m, np.int32)
    for k in range(2 * m):
        here, there = (one[k], other[k]) if k < m else (other[k - m], one[k - m])
        here, there = here if here >= 0 else count, there if there >= 0 else count
        beyond[k] = there
        if head[here] < 0:
            head[here] = k
        else:
            follow[tail[here]] = k
        tail[here] = k
    return head, tail, follow, beyond


@njit(nogil=True, cache=True)
def _merge_small(
    code: NDArray[Any],
    areas: NDArray[np.int64],
    one: NDArray[np.int32],
    other: NDArray[np.int32],
    length: NDArray[np.int64],
    least: int,
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int32], NDArray[np.int32]]:
    """Merge regions smaller than ``least``.

    Lengths of shared boundary are not added up when regions merge: their lists are appended in
    constant time, and added up when a region is popped. Popping a region at least doubles what it
    is part of, so that each edge is visited a logarithmic number of times.

    Returns:
        The union-find parent of each region, and the lists of edges.
    """
    count = len(code)
    parent = np.arange(count + 1).astype(np.int32)
    head, tail, follow, beyond = _listed(one, other, count)
    area = areas.copy()
    first = np.arange(count + 1).astype(np.int32)
    shared = np.full(count + 1, UNMET, np.int64)
    near = np.empty(count + 1, np.int32)
    heap = [(area[k], np.int64(first[k]), np.int64(k)) for k in range(count) if area[k] < least]
    heapq.heapify(heap)
    while heap:
        size, _, small = heapq.heappop(heap)
        if parent[small] != small or area[small] != size:
            continue
        found = _look_around(parent, head, follow, beyond, length, int(small), near, shared)
        best = _best(near[:found], shared, area, first)
        if best >= 0:
            for region in near[: found + 1]:  # the last one is the small region itself
                if region == small or (region != best and code[region] == code[best]):
                    parent[region] = best
                    area[best] += area[region]
                    first[best] = min(first[best], first[region])
                    follow[tail[best]] = head[region]
                    tail[best] = tail[region]
            if area[best] < least:
                heapq.heappush(heap, (area[best], np.int64(first[best]), np.int64(best)))
        shared[near[:found]] = UNMET
    return parent, head, follow, beyond


@njit(nogil=True, cache=True)
def _look_around(
    parent: NDArray[np.int32],
    head: NDArray[np.int32],
    follow: NDArray[np.int32],
    beyond: NDArray[np.int32],
    length: NDArray[np.int64],
    small: int,
    near: NDArray[np.int32],
    shared: NDArray[np.int64],
) -> int:
    """List the neighbours of a region in ``near``, itself last, and add up shared boundaries.

    Returns:
        The number of neighbours.
    """
    found = 0
    item = head[small]
    while item >= 0:
        region = root_of(parent, beyond[item])
        if small != region != len(near) - 1:
            if shared[region] == UNMET:
                shared[region] = 0
                near[found] = region
                found += 1
            shared[region] += length[item % len(length)]
        item = follow[item]
    near[found] = small
    return found


@njit(nogil=True, cache=True)
def _best(
    near: NDArray[np.int32],
    shared: NDArray[np.int64],
    area: NDArray[np.int64],
    first: NDArray[np.int32],
) -> int:
    """The neighbour to merge into; -1 if none shares a pixel side."""
    best = -1
    for region in near:
        if shared[region] > 0 and (
            best < 0
            or (shared[region], area[region], -first[region])
            > (shared[best], area[best], -first[best])
        ):
            best = int(region)
    return best


@njit(nogil=True, cache=True)
def _fill_holes(
    parent: NDArray[np.int32],
    head: NDArray[np.int32],
    follow: NDArray[np.int32],
    beyond: NDArray[np.int32],
    length: NDArray[np.int64],
    areas: NDArray[np.int64],
    most: int,
) -> None:
    """Merge into a region what it cuts off from the outside, if that is smaller than ``most``.

    A depth-first search from the outside finds articulation points (Hopcroft and Tarjan 1973,
    Algorithm 447): a region cuts off the branch below it if nothing in the branch is adjacent to
    anything above the region. The search is iterative, as branches can be millions of regions deep.
    """
    count = len(parent) - 1
    area = np.zeros(count + 1, np.int64)
    for k in range(count):
        area[root_of(parent, k)] += areas[k]
    seen = np.full(count + 1, -1, np.int32)  # the order in which regions are discovered
    low = np.empty(count + 1, np.int32)
    order = np.empty(count + 1, np.int32)
    branch = np.empty(count + 1, np.int32)  # number of regions in the branch, its top included
    up = np.full(count + 1, -1, np.int32)
    at = head.copy()
    seen[count], low[count], order[0], branch[count] = 0, 0, count, 1
    found, here = 1, count
    while here >= 0:
        item = at[here]
        if item < 0:
            above = up[here]
            if above >= 0:
                low[above] = min(low[above], low[here])
                branch[above] += branch[here]
                area[above] += area[here]
            here = above
            continue
        at[here] = follow[item]
        region = root_of(parent, beyond[item])
        if length[item] == 0 or region == here:
            continue
        if seen[region] >= 0:
            low[here] = min(low[here], seen[region])
            continue
        seen[region], low[region], order[found] = found, found, region
        branch[region], up[region] = 1, here
        found += 1
        here = region
    k = 1
    while k < found:
        region = order[k]
        keeper = up[region]
        if keeper != count and low[region] >= seen[keeper] and area[region] < most:
            for inside in order[k : k + branch[region]]:
                parent[inside] = keeper
            k += branch[region]
        else:
            k += 1
