"""Run-length encoding of class rasters, and connected-component labelling of the runs.

A raster comes as ``codes``: class values with a column of ``outside`` on the left and on the right,
so that every row begins and ends outside. A sentinel after the runs of each row starts where the
row ends, so that run ``k`` always ends at ``start[k + 1]``.

Runs are labelled row against row with union-find, and renumbered in a second pass (He, Chao and
Suzuki 2008, A run-based two-scan labeling algorithm). Numbers follow from first pixels, not from
the order of the work.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray


class Runs(NamedTuple):
    """The runs of all rows, one after another.

    Attributes:
        row: (rows + 1,) where the runs of each row start; the last run of a row is its sentinel.
        start: (n,) column of ``codes`` at which the run starts.
        face: (n,) the 4-connected component of the run, from 0 in the order of first pixels; -1
            outside.
    """

    row: NDArray[np.int64]
    start: NDArray[np.int32]
    face: NDArray[np.int32]


@njit(nogil=True, cache=True)
def root_of(parent: NDArray[np.int32], item: int) -> int:
    """The representative of the set of ``item``; halves the path to it on the way."""
    while parent[item] != item:
        parent[item] = parent[parent[item]]
        item = parent[item]
    return item


@njit(nogil=True, cache=True)
def unite(parent: NDArray[np.int32], one: int, other: int) -> int:
    """Unite two sets under the smaller representative, so that numbers keep their order."""
    one, other = root_of(parent, one), root_of(parent, other)
    if one < other:
        parent[other] = one
        return one
    parent[one] = other
    return other


@njit(nogil=True, cache=True)
def numbered(parent: NDArray[np.int32], count: int) -> tuple[NDArray[np.int32], int]:
    """The number of each item's set, from 0 in the order of smallest members, and how many sets."""
    number = np.empty(count, np.int32)
    sets = 0
    for item in range(count):
        if parent[item] == item:
            number[item] = sets
            sets += 1
        else:
            number[item] = number[parent[item]]  # a parent is always smaller
    return number, sets


@njit(nogil=True, cache=True)
def united(
    one: NDArray[np.int32], other: NDArray[np.int32], count: int
) -> tuple[NDArray[np.int32], int]:
    """New numbers of ``count`` items once pairs of them are one, and how many numbers there are."""
    parent = np.arange(count).astype(np.int32)
    for k in range(len(one)):
        unite(parent, one[k], other[k])
    return numbered(parent, count)


@njit(nogil=True, cache=True)
def find_runs(
    codes: NDArray[Any],
) -> tuple[NDArray[np.int64], NDArray[np.int32], NDArray[Any]]:
    """Where the runs of each row start, the column of each run, and its class; sentinels have 0."""
    rows, cols = codes.shape
    row = np.empty(rows + 1, np.int64)
    row[0] = 0
    for i in range(rows):
        changes = 0
        for j in range(1, cols):
            changes += codes[i, j] != codes[i, j - 1]
        row[i + 1] = row[i] + changes + 2
    start = np.empty(row[rows] + 1, np.int32)
    code = np.zeros(row[rows] + 1, codes.dtype)
    for i in range(rows):
        k = row[i]
        start[k], code[k] = 0, codes[i, 0]
        k += 1
        for j in range(1, cols):  # without a branch, which noise would have mispredicted
            start[k], code[k] = j, codes[i, j]
            k += codes[i, j] != codes[i, j - 1]
        start[k], code[k] = cols, 0
    return row, start[:-1], code[:-1]


@njit(nogil=True, cache=True)
def label_faces(
    row: NDArray[np.int64], start: NDArray[np.int32], code: NDArray[Any], outside: int
) -> tuple[NDArray[np.int32], int]:
    """The 4-connected component of every run, numbered by first pixel, and how many there are."""
    face = np.full(len(start), -1, np.int32)
    parent = np.empty(len(start), np.int32)
    count = 0
    for i in range(len(row) - 1):
        above, stop = (row[i - 1], row[i] - 1) if i else (0, 0)
        for k in range(row[i], row[i + 1] - 1):
            while above < stop and start[above + 1] <= start[k]:
                above += 1
            if code[k] == outside:
                continue
            label = -1
            m = above
            while m < stop and start[m] < start[k + 1]:
                if code[m] == code[k]:
                    label = unite(parent, face[m], label) if label >= 0 else face[m]
                m += 1
            if label < 0:
                label = count
                parent[count] = count
                count += 1
            face[k] = label
    number, faces = numbered(parent, count)
    for k in range(len(start)):
        if face[k] >= 0:
            face[k] = number[face[k]]
    return face, faces


@njit(nogil=True, cache=True)
def group_faces(
    row: NDArray[np.int64],
    start: NDArray[np.int32],
    code: NDArray[Any],
    face: NDArray[np.int32],
    faces: int,
) -> NDArray[np.int32]:
    """The 8-connected component that each face belongs to."""
    parent = np.arange(faces).astype(np.int32)
    for i in range(1, len(row) - 1):
        above, stop = row[i - 1], row[i] - 1
        for k in range(row[i], row[i + 1] - 1):
            while above < stop and start[above + 1] < start[k]:
                above += 1
            if face[k] < 0:
                continue
            m = above
            while m < stop and start[m] <= start[k + 1]:
                if code[m] == code[k]:
                    unite(parent, face[m], face[k])
                m += 1
    return numbered(parent, faces)[0]
