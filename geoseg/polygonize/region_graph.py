"""The region adjacency graph of a raster: areas of regions, lengths of shared boundary."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.metric import Metric, area_at, sides_at
from geoseg.polygonize.rings import offsets, renumbered
from geoseg.polygonize.runs import Runs, united
from geoseg.polygonize.strip_codes import CodeRows, Strip, label, read_rows, seam_rows

EMPTY = -1
GOLDEN = np.uint64(0x9E3779B97F4A7C15)
"""2**64 over the golden ratio: multiplicative hashing (Knuth, The Art of Computer Programming,
volume 3, section 6.4)."""


@dataclass(frozen=True, eq=False)
class Graph:
    """A region adjacency graph: regions, and an edge for each pair that share boundary.

    Attributes:
        code: (n,) class code of each region, in the order of first pixels.
        area: (n,) in whole units of a `Metric`.
        one: (m,) a region of each edge; -1 is the outside.
        other: (m,) the other region of each edge.
        length: (m,) shared boundary, in whole units of a `Metric`; 0 where regions meet in corners
            only.
    """

    code: NDArray[Any]
    area: NDArray[np.int64]
    one: NDArray[np.int32]
    other: NDArray[np.int32]
    length: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Survey:
    """The graph of some rows, with what it takes to join it to that of the rows below.

    Attributes:
        graph: the regions.
        top: region of each run of the first row, -1 outside.
        bottom: region of each run of the last row, -1 outside.
        row: first row, counted in the raster.
        first: codes of the first row.
        last: codes of the last row.
    """

    graph: Graph
    top: NDArray[np.int32]
    bottom: NDArray[np.int32]
    row: int
    first: NDArray[Any]
    last: NDArray[Any]


def survey(strip: Strip, metric: Metric) -> Survey:
    """Measure the regions of a strip."""
    return _survey(read_rows(strip), strip.connectivity, metric)


def whole(
    surveys: Iterable[Survey], height: int, connectivity: int, metric: Metric
) -> tuple[Graph, list[NDArray[np.int32]]]:
    """Join the graphs of all strips.

    Two strips are joined through the graph of their seam, which shares a row with each.

    Returns:
        The graph of the raster, and for each strip the number in it of each of its regions.
    """
    parts: list[Survey] = []
    for each in surveys:
        if parts:
            rows = seam_rows(parts[-1].last, each.first, each.row, height)
            parts.append(_survey(rows, connectivity, metric))
        parts.append(each)
    starts = offsets(np.array([len(part.graph.code) for part in parts]))
    meets = [part.bottom >= 0 for part in parts[:-1]]
    upper = [part.bottom[m] + at for part, m, at in zip(parts, meets, starts, strict=False)]
    lower = [part.top[m] + at for part, m, at in zip(parts[1:], meets, starts[1:], strict=False)]
    number, count = united(_joined(upper), _joined(lower), int(starts[-1]))
    numbers = np.split(number, starts[1:-1])
    code = np.empty(count, parts[0].graph.code.dtype)
    area = np.zeros(count, np.int64)
    for part, new in zip(parts, numbers, strict=True):
        code[new] = part.graph.code
        np.add.at(area, new, part.graph.area)
    both = list(zip(numbers, (part.graph for part in parts), strict=True))
    one = _joined([renumbered(new, graph.one) for new, graph in both])
    other = _joined([renumbered(new, graph.other) for new, graph in both])
    length = np.concatenate([graph.length for _, graph in both])
    return Graph(code, area, one, other, length), numbers[::2]


def _joined(arrays: list[NDArray[Any]]) -> NDArray[np.int32]:
    return np.concatenate([np.empty(0, np.int32), *arrays]).astype(np.int32)


def _survey(rows: CodeRows, connectivity: int, metric: Metric) -> Survey:
    runs, code, group = label(rows.codes, connectivity)
    region = renumbered(group, runs.face)
    runs = Runs(runs.row, runs.start, region)
    area, codes = _measure(runs, code, int(group.max(initial=-1)) + 1, rows[1:], metric.areas)
    one, other, length = _neighbours(runs, rows[1:], metric.sides, connectivity == 8)
    return Survey(
        Graph(codes, area, one, other, length),
        region[: runs.row[1] - 1].copy(),
        region[runs.row[-2] : runs.row[-1] - 1].copy(),
        rows.first + rows.start,
        rows.codes[rows.start].copy(),
        rows.codes[rows.stop - 1].copy(),
    )


@njit(nogil=True, cache=True)
def _measure(
    runs: Runs,
    code: NDArray[Any],
    count: int,
    place: tuple[int, int, int, int],
    areas: NDArray[np.float64],
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """The area of each region, of its own rows alone, and its code."""
    row, start, region = runs
    first, own_start, own_stop, height = place
    width = start[row[1] - 1] - 2
    area = np.zeros(count, np.int64)
    codes = np.empty(count, code.dtype)
    for i in range(len(row) - 1):
        for k in range(row[i], row[i + 1] - 1):
            if region[k] < 0:
                continue
            codes[region[k]] = code[k]
            if own_start <= i < own_stop:
                length = start[k + 1] - start[k]
                middle = start[k] - 1 + (length - 1) / 2
                each = area_at(areas, first + i, middle, height, width)
                area[region[k]] += np.int64(np.rint(length * each))
    return area, codes


@njit(nogil=True, cache=True)
def _neighbours(
    runs: Runs, place: tuple[int, int, int, int], sides: NDArray[np.int64], corners: bool
) -> tuple[NDArray[np.int32], NDArray[np.int32], NDArray[np.int64]]:
    """The pairs of regions that share boundary, each once, and its length.

    Horizontal boundary is counted between all rows, vertical boundary in own rows alone: the two
    rows of a seam belong to strips. With ``corners``, pairs that meet in corners are listed too.
    """
    row, start, region = runs
    first, own_start, own_stop, rows = place
    keys = np.full(1 << 12, EMPTY, np.int64)
    lengths = np.zeros(1 << 12, np.int64)
    used = 0
    reach = 1 if corners else 0
    for i in range(len(row) - 1):
        if 2 * (used + 4 * (row[i + 1] - row[i])) > len(keys):
            keys, lengths = _grown(keys, lengths, used + 4 * (row[i + 1] - row[i]))
        width, height = sides_at(sides, first + i, rows)
        above, stop = (row[i - 1], row[i] - 1) if i else (0, 0)
        for k in range(row[i], row[i + 1] - 1):
            if own_start <= i < own_stop and start[k]:
                used += _add(keys, lengths, region[k - 1], region[k], height)
            while above < stop and start[above + 1] + reach <= start[k]:
                above += 1
            m = above
            while m < stop and start[m] < start[k + 1] + reach:
                shared = min(start[m + 1], start[k + 1]) - max(start[m], start[k])
                if region[m] != region[k]:
                    used += _add(keys, lengths, region[m], region[k], shared * width)
                m += 1
    found = np.flatnonzero(keys != EMPTY)
    one = (keys[found] >> 32).astype(np.int32) - 1
    other = (keys[found] & 0xFFFFFFFF).astype(np.int32) - 1
    return one, other, lengths[found]


@njit(nogil=True, cache=True)
def _add(
    keys: NDArray[np.int64], lengths: NDArray[np.int64], one: int, other: int, length: int
) -> int:
    """Add to the shared boundary of a pair; 1 if the pair is new, else 0."""
    key = int((np.int64(min(one, other)) + 1) << 32 | (np.int64(max(one, other)) + 1))
    slot = _slot(keys, key)
    lengths[slot] += length
    if keys[slot] == key:
        return 0
    keys[slot] = key
    return 1


@njit(nogil=True, cache=True)
def _slot(keys: NDArray[np.int64], key: int) -> int:
    """The slot of a key, or the free one where it belongs (linear probing)."""
    last = len(keys) - 1
    slot = int((np.uint64(key) * GOLDEN) >> np.uint64(32)) & last
    while keys[slot] not in (key, EMPTY):
        slot = (slot + 1) & last
    return slot


@njit(nogil=True, cache=True)
def _grown(
    keys: NDArray[np.int64], lengths: NDArray[np.int64], least: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The table copied into one with room for at least ``least`` more pairs, half of it free."""
    size = len(keys)
    while size < 2 * least:
        size *= 2
    new = np.full(2 * size, EMPTY, np.int64)
    sums = np.zeros(2 * size, np.int64)
    for k in range(len(keys)):
        if keys[k] != EMPTY:
            slot = _slot(new, int(keys[k]))
            new[slot], sums[slot] = keys[k], lengths[k]
    return new, sums
