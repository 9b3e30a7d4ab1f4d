"""Chips of different scenes that are near each other, and the area of their overlap."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from scipy.spatial import KDTree

from geoseg import grid, ground

PIECES = 8
"""Segments per side of a chip; straight sides are curved in another CRS."""
ROUNDING_PX = 1.0
"""Smaller overlaps, in pixels, are rounding errors between chips that lie side by side."""


@dataclass(frozen=True, eq=False)
class Links:
    """Pairs of chips that lie near each other.

    Attributes:
        pairs: (n, 2) indices of chips.
        gaps: (n,) distance in pixels; 0 where they touch or overlap.
        shared_m2: (n,) area of their overlap in square metres.
    """

    pairs: NDArray[np.int64] = field(default_factory=lambda: np.empty((0, 2), dtype=np.int64))
    gaps: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))
    shared_m2: NDArray[np.float64] = field(default_factory=lambda: np.empty(0))


@dataclass(frozen=True, eq=False)
class PlacedChips:
    """Chips with their places.

    Attributes:
        scene: (chips,) index of the scene.
        corners: (chips, 2) row and column in the scene.
        size: side of a chip in pixels.
        pixels: (chips, classes) labelled pixels by class.
        links: pairs of chips of different scenes that are near each other.
    """

    scene: NDArray[np.int64]
    corners: NDArray[np.int64]
    size: int
    pixels: NDArray[np.int64]
    links: Links = field(default_factory=Links)


def link(placed: PlacedChips, geoboxes: Sequence[GeoBox], reach: int) -> Links:
    """Find the pairs of chips of different scenes that are nearer than ``reach``.

    Chips are clipped to their scene. Those of the second scene are transformed to the grid of the
    first, whatever their CRS.

    Args:
        placed: chips with their places.
        geoboxes: grids of the scenes, by index.
        reach: distance in pixels of the first scene.
    """
    found = [
        _pairs(placed, geoboxes, one, other, reach)
        for one, other in _neighbours(geoboxes, sorted(set(placed.scene.tolist())), reach)
    ]
    if not found:
        return Links()
    pairs, gaps, shared = (np.concatenate(each) for each in zip(*found, strict=True))
    return Links(pairs, gaps, shared)


def footprints(placed: PlacedChips, chips: NDArray[np.intp], geobox: GeoBox) -> NDArray[Any]:
    """Rectangles of chips, clipped to their scene, in pixels of the scene, x before y."""
    height, width = geobox.shape
    top, left = placed.corners[chips].T
    boxes: NDArray[Any] = shapely.box(
        left, top, np.minimum(left + placed.size, width), np.minimum(top + placed.size, height)
    )
    return boxes


def on_grid(shapes: NDArray[Any], geobox: GeoBox) -> NDArray[Any]:
    """Transform shapes from pixels, x before y, to the CRS of a grid."""
    x, y = shapely.get_coordinates(shapes).T
    placed = np.column_stack(geobox.affine @ (x, y))
    return np.asarray(shapely.set_coordinates(shapes.copy(), placed))


def overlaps(placed: PlacedChips, geoboxes: Sequence[GeoBox]) -> Links:
    """Find all pairs of overlapping chips, of one scene or of two."""
    pairs, shared = [placed.links.pairs], [placed.links.shared_m2]
    for scene in np.unique(placed.scene):
        here = np.flatnonzero(placed.scene == scene)
        tree = KDTree(placed.corners[here])
        close = here[tree.query_pairs(placed.size - 1, p=np.inf, output_type="ndarray")]
        boxes = footprints(placed, here, geoboxes[scene])
        at = np.searchsorted(here, close)
        pairs.append(close)
        common = shapely.intersection(boxes[at[:, 0]], boxes[at[:, 1]])
        shared.append(_shared_m2(common, geoboxes[scene]))
    every, areas = np.concatenate(pairs), np.concatenate(shared)
    real = areas > 0
    return Links(every[real], np.zeros(int(real.sum())), areas[real])


def _pairs(
    placed: PlacedChips, geoboxes: Sequence[GeoBox], one: int, other: int, reach: int
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    a, b = (np.flatnonzero(placed.scene == scene) for scene in (one, other))
    target = geoboxes[one]
    boxes = footprints(placed, a, target)
    beside = _brought(footprints(placed, b, geoboxes[other]), geoboxes[other], target, placed.size)
    # chips outside the area of use of the other CRS have infinite coordinates
    there = np.flatnonzero(np.isfinite(shapely.bounds(beside)).all(axis=1))
    near = shapely.STRtree(boxes).query(beside[there], predicate="dwithin", distance=reach)
    second, first = there[near[0]], near[1]
    shared = _shared_m2(shapely.intersection(boxes[first], beside[second]), target)
    gaps = shapely.distance(boxes[first], beside[second])
    return np.column_stack([a[first], b[second]]), gaps, shared


def _shared_m2(common: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    """Areas in square metres of overlaps that are given in pixels of a grid."""
    shared = np.zeros(len(common))
    real = shapely.area(common) >= ROUNDING_PX
    shared[real] = ground.areas_m2(on_grid(common[real], geobox), geobox)
    return shared


def _brought(boxes: NDArray[Any], source: GeoBox, target: GeoBox, size: int) -> NDArray[Any]:
    """Transform rectangles in pixels of one grid to polygons in pixels of another."""
    same = source.crs == target.crs
    pieces = boxes if same else shapely.segmentize(boxes, size / PIECES)
    points = shapely.get_coordinates(pieces).T
    xs, ys = source.affine @ (points[0], points[1])
    if not same:
        crs, wanted = grid.crs_of(source).proj, grid.crs_of(target).proj
        xs, ys = Transformer.from_crs(crs, wanted, always_xy=True).transform(xs, ys)
    x, y = ~target.affine @ (np.asarray(xs), np.asarray(ys))
    return np.asarray(shapely.set_coordinates(pieces, np.column_stack([x, y])))


def _neighbours(
    geoboxes: Sequence[GeoBox], scenes: Sequence[int], reach: int
) -> Iterator[tuple[int, int]]:
    """Yield the pairs of scenes whose frames, with a margin, intersect."""
    frames = np.array([_frame(geoboxes[scene], reach) for scene in scenes])
    for first, second in shapely.STRtree(frames).query(frames).T:
        one, other = (grid.crs_of(geoboxes[scenes[each]]).proj for each in (first, second))
        if first < second and ground.same_body(one, other):
            yield scenes[first], scenes[second]


def _frame(geobox: GeoBox, reach: int) -> shapely.Polygon:
    """Bounding box in lon/lat with a margin; all longitudes if it crosses the antimeridian."""
    crs = grid.crs_of(geobox).proj
    west, south, east, north = ground.to_lonlat(crs).transform_bounds(*grid.bounds(geobox))
    radius = ground.surface_of(crs).geod.b
    # generous: pairs of scenes whose chips are too far apart are sorted out later
    margin = float(np.degrees(2 * (reach + 1) * ground.gsd_m(geobox) / radius))
    south, north = south - margin, north + margin
    # meridians converge: the same margin is more degrees of longitude near the poles
    poleward = min(89.5, max(abs(south), abs(north)))
    sideways = margin / float(np.cos(np.radians(poleward)))
    west, east = west - sideways, east + sideways
    if not west < east or east - west > 180 or west < -180 or east > 180:
        west, east = -180.0, 180.0
    return shapely.box(west, south, east, north)
