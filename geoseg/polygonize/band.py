"""The regions of a band of rows and their boundaries; how two bands are joined.

Rows are joined like this at the seams of strips, so that regions of any extent are traced with a
few rows in memory. A region is complete once it reaches neither the first nor the last row.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.polygonize.rings import Paths, Rings, in_order, linked, offsets, renumbered
from geoseg.polygonize.runs import united


@dataclass(frozen=True, eq=False)
class Groups:
    """Regions under the chosen connectivity, one row each, in the order of their first pixels.

    Attributes:
        code: the class code.
        pixels: number of pixels.
        first: flat index of the first pixel in the raster.
        edge: whether the region has a pixel on the raster's outer edge.
        total: sum of the confidence, in fixed point.
        known: number of pixels with a confidence.
    """

    code: NDArray[Any]
    pixels: NDArray[np.int64]
    first: NDArray[np.int64]
    edge: NDArray[np.bool_]
    total: NDArray[np.int64]
    known: NDArray[np.int64]

    def take(self, chosen: NDArray[Any] | slice[int]) -> Groups:
        """The rows at some positions, of a mask, or of a slice."""
        return Groups(**{name: column[chosen] for name, column in vars(self).items()})


@dataclass(frozen=True, eq=False)
class RowBand:
    """Regions of some rows that may go on above or below them, with their boundaries so far.

    Attributes:
        groups: the regions.
        group: (faces,) the group of each face.
        rings: the closed rings of the faces, in the batches in which they were closed.
        paths: the open boundaries, which leave the band above or below.
        top: face of each run of the first row, -1 outside.
        bottom: face of each run of the last row, -1 outside.
    """

    groups: Groups
    group: NDArray[np.int32]
    rings: tuple[Rings, ...]
    paths: Paths
    top: NDArray[np.int32]
    bottom: NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Finished:
    """Regions that are complete, in the order of their first pixels.

    Attributes:
        groups: the regions.
        faces: (regions + 1,) where the faces of each region start.
        rings: (faces + 1,) where the rings of each face start; the first is its shell.
        starts: (rings + 1,) where the corners of each ring start.
        corners: the packed corners, or (n, 2) column and row once they have left the grid.
    """

    groups: Groups
    faces: NDArray[np.int64]
    rings: NDArray[np.int64]
    starts: NDArray[np.int64]
    corners: NDArray[Any]


def join(upper: RowBand, lower: RowBand) -> RowBand:
    """Join two bands; the last row of the upper one is the first row of the lower one."""
    shift = len(upper.group)
    meets = upper.bottom >= 0
    one, other = upper.bottom[meets], lower.top[meets] + np.int32(shift)
    old = np.concatenate([upper.group, lower.group + np.int32(len(upper.groups.code))])
    face, faces = united(one, other, len(old))
    same, groups = united(old[one], old[other], len(upper.groups.code) + len(lower.groups.code))
    group = np.empty(faces, np.int32)
    group[face] = same[old]
    paths, closed = linked(upper.paths, lower.paths, len(upper.bottom) - 1, shift)
    rings = [
        *(each.numbered(face) for each in upper.rings),
        *(each.numbered(face[shift:]) for each in lower.rings),
        closed.numbered(face),
    ]
    return RowBand(
        _summed(upper.groups, lower.groups, same, groups),
        group,
        tuple(each for each in rings if len(each.face)),
        replace(paths, face=face[paths.face]),
        renumbered(face, upper.top),
        renumbered(face[shift:], lower.bottom),
    )


def finish(band: RowBand) -> tuple[Finished, RowBand]:
    """Separate complete regions, which reach neither the first nor the last row, from open ones."""
    is_open = np.zeros(len(band.groups.code), np.bool_)
    for seam in (band.top, band.bottom):
        is_open[band.group[seam[seam >= 0]]] = True
    stays = is_open[band.group]
    number = np.where(stays, np.cumsum(stays, dtype=np.int32) - 1, np.int32(-1))
    group_number = np.cumsum(is_open, dtype=np.int32) - 1
    rest = RowBand(
        band.groups.take(is_open),
        group_number[band.group[stays]],
        tuple(each for each in (rings.staying(number) for rings in band.rings) if len(each.face)),
        replace(band.paths, face=number[band.paths.face]),
        renumbered(number, band.top),
        renumbered(number, band.bottom),
    )
    return _complete(band, ~is_open), rest


def combined(parts: list[Finished]) -> Finished:
    """Concatenate batches; the regions are no longer in the order of their first pixels."""
    groups = {
        name: np.concatenate([vars(part.groups)[name] for part in parts])
        for name in vars(parts[0].groups)
    }
    faces, rings, starts = (
        offsets(np.concatenate([np.diff(vars(part)[name]) for part in parts]))
        for name in ("faces", "rings", "starts")
    )
    corners = np.concatenate([part.corners for part in parts])
    return Finished(Groups(**groups), faces, rings, starts, corners)


def _complete(band: RowBand, is_complete: NDArray[np.bool_]) -> Finished:
    """The complete regions, with their faces and rings in order."""
    faces = np.flatnonzero(is_complete[band.group])
    faces = faces[np.argsort(band.group[faces], kind="stable")]
    rank = np.full(len(band.group), -1, np.int32)
    rank[faces] = np.arange(len(faces), dtype=np.int32)
    counts = np.bincount(band.group[faces], minlength=len(is_complete))[is_complete]
    rings, starts, corners = in_order(band.rings, rank, len(faces))
    return Finished(
        band.groups.take(is_complete),
        np.concatenate([[0], np.cumsum(counts)]),
        rings,
        starts,
        corners,
    )


def _summed(upper: Groups, lower: Groups, number: NDArray[np.int32], count: int) -> Groups:
    """The rows of two tables renumbered; rows of the same number are added up."""
    both = {
        name: np.concatenate([column, vars(lower)[name]]) for name, column in vars(upper).items()
    }
    code = np.empty(count, both["code"].dtype)
    code[number] = both["code"]
    first = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(first, number, both["first"])
    edge = np.zeros(count, np.bool_)
    edge[number[both["edge"]]] = True
    sums = {name: np.zeros(count, np.int64) for name in ("pixels", "total", "known")}
    for name, column in sums.items():
        np.add.at(column, number, both[name])
    return Groups(code=code, first=first, edge=edge, **sums)
