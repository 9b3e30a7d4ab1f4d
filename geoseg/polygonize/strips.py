"""The tracing of one strip: read, label, follow boundaries; runs in any thread or process."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.grid import WindowPixels
from geoseg.polygonize.band import Finished, Groups, RowBand, finish
from geoseg.polygonize.boundary_network import find_network, walk
from geoseg.polygonize.rings import Paths, tidied
from geoseg.polygonize.runs import Runs
from geoseg.polygonize.strip_codes import CodeRows, Strip, label, read_rows, seam_rows

FIXED_POINT = 1 << 16
"""Confidences are summed in fixed point, as sums of floats depend on the order of adding."""


@dataclass(frozen=True, eq=False)
class Followed:
    """The result of tracing a strip.

    Attributes:
        finished: regions that reach neither the first nor the last row.
        band: all others.
        row: first row, counted in the raster.
        first: codes of the first row.
        last: codes of the last row.
    """

    finished: Finished
    band: RowBand
    row: int
    first: NDArray[Any]
    last: NDArray[Any]


def follow(strip: Strip) -> Followed:
    """Trace all boundaries of a strip."""
    rows = read_rows(strip)
    confidence = None if strip.confidence is None else strip.confidence.read(strip.window)
    finished, rest = finish(_band(rows, strip.connectivity, confidence))
    first, last = rows.codes[rows.start].copy(), rows.codes[rows.stop - 1].copy()
    return Followed(finished, rest, strip.window.row, first, last)


def seam(upper: Followed, lower: Followed, height: int, connectivity: int) -> RowBand:
    """The band across two strips: the last row of the upper one and the first of the lower one."""
    return _band(seam_rows(upper.last, lower.first, lower.row, height), connectivity, None)


def _band(rows: CodeRows, connectivity: int, confidence: WindowPixels | None) -> RowBand:
    runs, code, group = label(rows.codes, connectivity)
    groups = int(group.max(initial=-1)) + 1
    walked = walk(find_network(runs, rows.first), runs)
    total, known = np.zeros(groups, np.int64), np.zeros(groups, np.int64)
    if confidence is not None:
        percent, weight = _whole(confidence.pixels[0])
        _add_confidence(runs, group, rows.start, percent, confidence.valid, total, known)
        total *= weight
    return RowBand(
        Groups(*_count(runs, code, group, groups, rows[1:]), total, known),
        group,
        (tidied(walked.rings, walked.ring_starts, walked.ring_face),),
        Paths(walked.paths, walked.path_starts, walked.path_face, walked.entry, walked.leave),
        runs.face[: runs.row[1] - 1].copy(),
        runs.face[runs.row[-2] : runs.row[-1] - 1].copy(),
    )


def _whole(percent: NDArray[Any]) -> tuple[NDArray[Any], int]:
    """Confidences as whole numbers, and the factor that makes them fixed-point ones."""
    if percent.dtype.kind in "ui":
        return percent, FIXED_POINT
    return np.rint(np.nan_to_num(percent) * FIXED_POINT).astype(np.int64), 1


@njit(nogil=True, cache=True)
def _count(
    runs: Runs,
    code: NDArray[Any],
    group: NDArray[np.int32],
    groups: int,
    place: tuple[int, int, int, int],
) -> tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Code, number of pixels in own rows, first pixel, and whether at the edge, of each region."""
    row, start, face = runs
    first_row, own_start, own_stop, height = place
    width = np.int64(start[row[1] - 1] - 2)
    codes = np.empty(groups, code.dtype)
    pixels = np.zeros(groups, np.int64)
    first = np.full(groups, np.iinfo(np.int64).max)
    edge = np.zeros(groups, np.bool_)
    for i in range(len(row) - 1):
        at = first_row + i
        for k in range(row[i], row[i + 1] - 1):
            if face[k] < 0:
                continue
            g = group[face[k]]
            codes[g] = code[k]
            first[g] = min(first[g], at * width + start[k] - 1)
            if own_start <= i < own_stop:
                pixels[g] += start[k + 1] - start[k]
            edge[g] |= at in (0, height - 1) or start[k] == 1 or start[k + 1] == width + 1
    return codes, pixels, first, edge


@njit(nogil=True, cache=True)
def _add_confidence(
    runs: Runs,
    group: NDArray[np.int32],
    own_start: int,
    percent: NDArray[Any],
    valid: NDArray[np.bool_],
    total: NDArray[np.int64],
    known: NDArray[np.int64],
) -> None:
    row, start, face = runs
    for i in range(len(percent)):
        for k in range(row[own_start + i], row[own_start + i + 1] - 1):
            if face[k] < 0:
                continue
            g = group[face[k]]
            for j in range(start[k] - 1, start[k + 1] - 1):
                if valid[i, j]:
                    total[g] += percent[i, j]
                    known[g] += 1
