"""Right-angled footprints of buildings, from outlines that follow pixels.

The usual steps (Douglas-Peucker, one dominant direction, walls along it or across it, corners where
they meet), on the rings of all polygons at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.ground import unit_lengths_m

MIN_IOU = 0.75
"""A footprint with a lower intersection over union does not show what was mapped."""
MIN_WALLS = 4
"""A rectangle's; fewer enclose nothing."""


def regularize(geometries: NDArray[Any], crs: pyproj.CRS, tolerance_m: float) -> NDArray[Any]:
    """Replace outlines by right-angled footprints, where these cover about the same.

    The edges of a simplified outline are turned along the polygon's own dominant direction, or
    across it. Consecutive edges of one direction become one wall, at their mean place. An outline
    is kept where the footprint is not valid, has an intersection over union with it of less than
    `MIN_IOU`, or overlaps another footprint.

    Args:
        geometries: (n,) Polygons and MultiPolygons that do not overlap.
        crs: their CRS: a conformal one, or degrees.
        tolerance_m: by how much simplification may move an edge, about a pixel.

    Returns:
        (n,) valid Polygons and MultiPolygons that do not overlap.

    Example:
        >>> roof = shapely.Polygon([(0, 0), (9, 0), (9, 5), (5, 5), (5, 6), (0, 6)])
        >>> found = regularize(np.array([roof]), pyproj.CRS(32633), 1.5)[0]
        >>> len(found.exterior.coords), round(found.area)
        (5, 50)
    """
    if not len(geometries):
        return geometries
    metres = _metres(geometries, crs)
    outlines = _scaled(geometries, metres)
    walls, squared = _walls(shapely.simplify(outlines, tolerance_m))
    squared[squared] = _iou(walls[squared], outlines[squared]) >= MIN_IOU
    footprints = geometries.copy()
    footprints[squared] = _scaled(shapely.orient_polygons(walls[squared]), 1 / metres[squared])
    return _apart(footprints, geometries)


def _metres(geometries: NDArray[Any], crs: pyproj.CRS) -> NDArray[np.float64]:
    """(n, 2) length of a unit of the CRS at each geometry, to the right and upward."""
    _, south, _, north = shapely.bounds(geometries).T
    return unit_lengths_m(crs, (south + north) / 2)


def _scaled(geometries: NDArray[Any], factors: NDArray[np.float64]) -> NDArray[Any]:
    points, owner = shapely.get_coordinates(geometries, return_index=True)
    return np.asarray(shapely.set_coordinates(geometries.copy(), points * factors[owner]))


def _walls(simple: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Right-angled versions of simplified outlines, and which of them are valid polygons."""
    walls = simple.copy()
    squared = _Edges.of(simple).are_walls()
    if squared.any():
        walls[squared] = _built(_Edges.of(simple[squared]))
        squared[squared] = shapely.is_valid(walls[squared])
    return walls, squared


@dataclass(frozen=True, eq=False)
class _Edges:
    """The edges of all rings, each in the frame of its geometry's direction.

    Attributes:
        kind: the geometry type that all geometries have in common.
        groups: offsets of polygons in the rings, and of geometries in the polygons.
        ring: (edges,) the ring of each edge.
        owner: (rings,) the geometry of each ring.
        along: (edges,) whether it runs along the direction; else it runs across it.
        place: (edges,) coordinate of its middle, across its own direction.
        length: (edges,) its extent in its own direction.
        opens: (edges,) whether its direction differs from that of the edge before it.
        origin: (geometries, 2) origins of the frames.
        axes: (geometries, 2, 2) unit vectors along and across, by row.
    """

    kind: Any
    groups: tuple[NDArray[Any], ...]
    ring: NDArray[np.intp]
    owner: NDArray[np.intp]
    along: NDArray[np.bool_]
    place: NDArray[np.float64]
    length: NDArray[np.float64]
    opens: NDArray[np.bool_]
    origin: NDArray[np.float64]
    axes: NDArray[np.float64]

    @classmethod
    def of(cls, geometries: NDArray[Any]) -> _Edges:
        kind, points, (starts, *groups) = shapely.to_ragged_array(geometries, include_z=False)
        owner = np.arange(len(geometries))
        for group in reversed(groups):
            owner = np.repeat(owner, np.diff(group))
        ring = np.repeat(np.arange(len(owner)), np.diff(starts) - 1)
        first = np.delete(np.arange(len(points)), starts[1:] - 1)
        ends = points[first], points[first + 1]
        origin = shapely.get_coordinates(shapely.point_on_surface(geometries))
        axes = _axes(ends[1] - ends[0], owner[ring], len(geometries))
        frame = axes[owner[ring]]
        start, end = (np.einsum("eij,ej->ei", frame, e - origin[owner[ring]]) for e in ends)
        step, middle = np.abs(end - start), (start + end) / 2
        along = step[:, 0] >= step[:, 1]
        last = starts[1:] - 1 - np.arange(1, len(starts))
        before = np.arange(len(ring)) - 1
        before[starts[:-1] - np.arange(len(owner))] = last
        return cls(
            kind=kind,
            groups=tuple(groups),
            ring=ring,
            owner=owner,
            along=along,
            place=np.where(along, middle[:, 1], middle[:, 0]),
            length=np.where(along, step[:, 0], step[:, 1]),
            opens=along != along[before],
            origin=origin,
            axes=axes,
        )

    def are_walls(self) -> NDArray[np.bool_]:
        """(geometries,) whether all rings of a geometry have enough walls."""
        count = np.bincount(self.ring, self.opens)
        return np.asarray(np.bincount(self.owner, count < MIN_WALLS) == 0)


def _axes(edges: NDArray[np.float64], owner: NDArray[np.intp], count: int) -> NDArray[np.float64]:
    """The dominant direction of each geometry and the one across it, (geometries, 2, 2).

    It is the mean direction of the edges, weighted by the squares of their lengths. Directions
    repeat after a quarter turn, so four times the angle is averaged, as unit vectors are.
    """
    right, up = edges.T
    angle, weight = 4 * np.arctan2(up, right), right**2 + up**2
    sine = np.bincount(owner, weight * np.sin(angle), minlength=count)
    cosine = np.bincount(owner, weight * np.cos(angle), minlength=count)
    turn = np.arctan2(sine, cosine) / 4
    axes = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return np.moveaxis(axes, 2, 0)


def _built(edges: _Edges) -> NDArray[Any]:
    """Geometries whose walls lie at the mean place of their edges, weighted by length."""
    opened = np.cumsum(edges.opens)
    count = np.bincount(edges.ring, edges.opens).astype(np.intp)
    before = np.cumsum(count) - count
    number = opened - before[edges.ring]
    run = before[edges.ring] + np.where(number == 0, count[edges.ring], number) - 1
    place = np.bincount(run, edges.length * edges.place) / np.bincount(run, edges.length)
    along = np.empty(len(place), dtype=bool)
    along[run] = edges.along
    ring = np.repeat(np.arange(len(count)), count)
    following = np.arange(1, len(place) + 1)
    following[before + count - 1] = before
    corners = np.where(along, (place[following], place), (place, place[following]))
    starts = np.concatenate([[0], np.cumsum(count + 1)])
    closed = np.insert(np.arange(len(place)), before + count, before)
    owner = edges.owner[ring[closed]]
    points = np.einsum("eji,je->ei", edges.axes[owner], corners[:, closed]) + edges.origin[owner]
    return np.asarray(shapely.from_ragged_array(edges.kind, points, (starts, *edges.groups)))


def _iou(one: NDArray[Any], other: NDArray[Any]) -> NDArray[np.float64]:
    shared = shapely.area(shapely.intersection(one, other))
    return np.asarray(shared / (shapely.area(one) + shapely.area(other) - shared))


def _apart(footprints: NDArray[Any], outlines: NDArray[Any]) -> NDArray[Any]:
    """Replace footprints that overlap another by their outlines, until no two overlap.

    An outline that is put back may overlap a further footprint, hence the loop; it ends, as the
    outlines themselves do not overlap.
    """
    chosen, changed = footprints.copy(), np.ones(len(footprints), dtype=bool)
    while True:
        pairs = shapely.STRtree(chosen).query(chosen, predicate="intersects")
        one, other = pairs[:, pairs[0] < pairs[1]]
        overlap = shapely.relate_pattern(chosen[one], chosen[other], "T********")
        back = np.union1d(one[overlap], other[overlap])
        back = back[changed[back]]
        if not back.size:
            return chosen
        chosen[back], changed[back] = outlines[back], False
