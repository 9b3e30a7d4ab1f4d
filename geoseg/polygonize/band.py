"""What is known of a band of rows once its boundaries are followed; how two bands become one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.polygonize.rings import Paths, Rings, in_order, linked, offsets, renumbered
from geoseg.polygonize.runs import united


@dataclass(frozen=True, eq=False)
class Groups:
    """Regions as a user counts them, in the order of their first pixels: one row each.

    Attributes:
        code: the class.
        pixels: how many pixels the region has.
        first: the flat index of its first pixel.
        edge: whether it has a pixel on the raster's outer edge.
        total: the sum of the confidence, in fixed point.
        known: how many pixels have a confidence.
    """

    code: NDArray[Any]
    pixels: NDArray[np.int64]
    first: NDArray[np.int64]
    edge: NDArray[np.bool_]
    total: NDArray[np.int64]
    known: NDArray[np.int64]

    def take(self, chosen: NDArray[Any] | slice[int]) -> Groups:
        """The rows that are ``chosen``."""
        return Groups(**{name: column[chosen] for name, column in vars(self).items()})


@dataclass(frozen=True, eq=False)
class Band:
    """Regions that may go on above or below some rows, and what is known of their boundaries.

    A face is a region over sides, which becomes one polygon. Over corners too, several faces can
    be one group.

    Attributes:
        groups: the regions.
        group: (faces,) the group of each face.
        rings: the closed rings of the faces, by the band that closed them.
        paths: the open ones.
        top: the face of each run of the first row, -1 outside.
        bottom: the same of the last row.
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


def join(upper: Band, lower: Band) -> Band:
    """Two bands as one; the last row of the upper is the first row of the lower."""
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
    return Band(
        _summed(upper.groups, lower.groups, same, groups),
        group,
        tuple(each for each in rings if len(each.face)),
        replace(paths, face=face[paths.face]),
        renumbered(face, upper.top),
        renumbered(face[shift:], lower.bottom),
    )


def finish(band: Band) -> tuple[Finished, Band]:
    """Part the regions that reach neither the first nor the last row from those that do."""
    is_open = np.zeros(len(band.groups.code), np.bool_)
    for seam in (band.top, band.bottom):
        is_open[band.group[seam[seam >= 0]]] = True
    stays = is_open[band.group]
    number = np.where(stays, np.cumsum(stays, dtype=np.int32) - 1, np.int32(-1))
    group_number = np.cumsum(is_open, dtype=np.int32) - 1
    rest = Band(
        band.groups.take(is_open),
        group_number[band.group[stays]],
        tuple(each for each in (rings.staying(number) for rings in band.rings) if len(each.face)),
        replace(band.paths, face=number[band.paths.face]),
        renumbered(number, band.top),
        renumbered(number, band.bottom),
    )
    return _complete(band, ~is_open), rest


def combined(parts: list[Finished]) -> Finished:
    """Several batches as one, which is out of order."""
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


def _complete(band: Band, is_complete: NDArray[np.bool_]) -> Finished:
    """The regions that are complete, their faces and rings in order."""
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
    """The rows of two tables, those of the same new number as one."""
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
