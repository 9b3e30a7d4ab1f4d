"""Polygons onto pixels, the same pixels however the area is cut into windows.

GDAL computes in coordinates relative to the window it is given, so that a polygon edge through a
pixel's centre may fall on either side of it, depending on the window. Here every edge is computed
in one frame, the pixel lattice counted from the CRS's origin, and windows only choose which of
its rows and columns they show. Vertices are first snapped to 1/65536 px, so that what was drawn
on pixel borders or centres lies exactly there.

All classes of a window are worked on at once, and only pixels that a polygon takes are written, so
that the time follows the polygons and not the number of classes times the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.vector.polygons import Polygons

SNAP = 65536
"""Vertices lie on multiples of 1/SNAP px."""
SUBPIXELS = 8
"""Pixels are cut into SUBPIXELS x SUBPIXELS to find out who covers the largest part."""
PIECE = 1024
STRIP = 32


def rasterize(polygons: Polygons, geobox: GeoBox) -> NDArray[np.uint8]:
    """Paint polygons onto a grid.

    A class of higher priority lies over a lower one, then a higher class id over a lower one;
    polygons without a class (255) lie under all others. Within a class order cannot matter. Where
    no polygon lies, the pixels get the scheme's ``outside``. Which pixels a polygon takes is its
    class's ``burn``:

    - "centre": those whose centre lies inside it. A centre exactly on an edge belongs to one of
      the two sides only: neighbours never leave gaps and never overlap.
    - "touched": those of which it covers any part.
    - "majority": a pixel becomes what covers the largest part of it, in steps of 1/64 px. What
      was painted before, and what lies outside, competes; of equals, the one on top wins.

    Args:
        polygons: the polygons, in the CRS of the grid.
        geobox: the grid; any affine, also rotated or south-up.

    Returns:
        (height, width) uint8 class ids. Any window of the grid gives exactly the same pixels.

    Raises:
        GridError: the polygons are in another CRS than the grid.

    Example:
        >>> from affine import Affine
        >>> from odc.geo.geobox import GeoBox
        >>> from geoseg.classes import ClassScheme
        >>> scheme = ClassScheme(classes=({"name": "field", "color": "#ffffff", "values": "*"},))
        >>> square = np.array([shapely.box(0, 0, 20, 10)])
        >>> field = Polygons(square, np.array([0], np.uint8), scheme, "EPSG:32633")
        >>> rasterize(field, GeoBox((2, 3), Affine(10, 0, 0, 0, -10, 20), "EPSG:32633")).tolist()
        [[255, 255, 255], [0, 0, 255]]
    """
    if polygons.crs != geobox.crs:
        raise GridError(
            "the polygons are in another CRS than the grid",
            where=polygons.name,
            got=polygons.crs,
            wanted=geobox.crs,
            fix="read them with read_polygons(..., crs=geobox.crs)",
        )
    height, width = geobox.shape
    lattice = _Lattice.of(geobox)
    out = np.full((height, width), polygons.scheme.outside_id, dtype=np.uint8)
    for window in grid.split(grid.whole((height, width)), PIECE):
        near = polygons.tree.query(lattice.outline(window))
        if near.size:
            _paint(polygons, near, lattice, window, out[window.slices])
    return out


@dataclass(frozen=True)
class _Lattice:
    """Pixel coordinates counted from the CRS's origin, shifted so that the grid's are integers.

    Attributes:
        inverse: (2, 2) from CRS offsets to (column, row) offsets; the same for all windows.
        fraction: (column, row) of the pixel corners between 0 and 1, in units of 1/SNAP px.
        corner: (column, row) of the grid's first pixel; integers.
        affine: the grid's affine.
    """

    inverse: NDArray[np.float64]
    fraction: NDArray[np.float64]
    corner: tuple[int, int]
    affine: Any

    @classmethod
    def of(cls, geobox: GeoBox) -> _Lattice:
        affine = geobox.affine
        inverse = np.linalg.inv(np.array([[affine.a, affine.b], [affine.d, affine.e]]))
        col, row = np.rint(inverse @ (affine.c, affine.f) * SNAP)
        corner = int(col // SNAP), int(row // SNAP)
        return cls(inverse, np.array([col % SNAP, row % SNAP]), corner, affine)

    def outline(self, window: Window) -> shapely.Polygon:
        """The window's footprint in the CRS, with a pixel to spare."""
        (bottom, right), wide = window.stop, window.expand(1)
        corners = ((wide.col, wide.row), (right + 1, wide.row), (right + 1, bottom + 1))
        return shapely.Polygon([self.affine @ c for c in (*corners, (wide.col, bottom + 1))])

    def edges(self, geometries: NDArray[Any], layer: NDArray[np.intp], window: Window) -> _Edges:
        """The edges that cross a window's rows, in pixels; row 0 is the window's first."""
        parts, owner = shapely.get_parts(geometries, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        outer = np.diff(part, prepend=-1) > 0
        points, ring = shapely.get_coordinates(rings, return_index=True)
        col, row = self._snapped(points)
        row -= self.corner[1] + window.row
        same = np.flatnonzero(ring[1:] == ring[:-1])
        x1, x2, y1, y2 = col[same], col[same + 1], row[same], row[same + 1]
        side = _turns(x1, x2, y1, y2, ring[same], len(rings)) == outer
        enters = (y1 < y2) == side[ring[same]]
        up = y1 > y2
        x1[up], x2[up], y1[up], y2[up] = x2[up], x1[up], y2[up], y1[up]
        seen = (y1 <= window.height) & (y2 >= 0)
        origin = self.corner[0] + window.col
        layer = layer[owner][part][ring[same]]
        return _Edges(
            x1[seen], x2[seen], y1[seen], y2[seen], enters[seen], layer[seen], origin
        )  # fmt: skip

    def _snapped(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points.T
        (a, b), (d, e) = self.inverse
        found = np.rint(np.stack([x * a + y * b, x * d + y * e]) * SNAP)
        return np.asarray((found - self.fraction[:, None]) / SNAP)


def _turns(
    x1: NDArray[np.float64],
    x2: NDArray[np.float64],
    y1: NDArray[np.float64],
    y2: NDArray[np.float64],
    ring: NDArray[np.intp],
    count: int,
) -> NDArray[np.bool_]:
    """Which way round each ring was drawn, seen in pixels: whether its area counts as positive."""
    first = np.searchsorted(ring, np.arange(count))
    x0, y0 = x1[first][ring], y1[first][ring]
    doubled = np.bincount(ring, (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0), minlength=count)
    return np.asarray(doubled >= 0)


@dataclass(frozen=True)
class _Edges:
    """Edges that go down (y1 <= y2), rows from the window's top, columns from the CRS's origin.

    Attributes:
        x1: column of the upper end.
        x2: column of the lower end.
        y1: row of the upper end.
        y2: row of the lower end.
        enters: whether crossing the edge to the right leads into a polygon; else it leads out.
        layer: number of the layer of paint it belongs to.
        origin: column of the window's first pixel.
    """

    x1: NDArray[np.float64]
    x2: NDArray[np.float64]
    y1: NDArray[np.float64]
    y2: NDArray[np.float64]
    enters: NDArray[np.bool_]
    layer: NDArray[np.intp]
    origin: int

    def part(self, row: int, zoom: int) -> _Edges:
        """The same edges with rows counted from ``row``, in pixels ``zoom`` times smaller."""
        y1, y2 = (self.y1 - row) * zoom, (self.y2 - row) * zoom
        x1, x2 = self.x1 * zoom, self.x2 * zoom
        return replace(self, x1=x1, x2=x2, y1=y1, y2=y2, origin=self.origin * zoom)

    def x_at(self, edge: NDArray[np.intp], y: NDArray[Any]) -> NDArray[np.float64]:
        """The columns at which edges pass the rows ``y``."""
        x1, x2, y1, y2 = self.x1[edge], self.x2[edge], self.y1[edge], self.y2[edge]
        with np.errstate(divide="ignore", invalid="ignore"):
            between = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        return np.where(y <= y1, x1, np.where(y >= y2, x2, between))


@dataclass(frozen=True)
class _Runs:
    """Pixels of layers as runs along rows; within a layer they do not overlap.

    Attributes:
        start: the first pixel of each run, counted row by row; layer after layer.
        length: how many pixels it has.
        layers: where the runs of each layer begin, and where the last layer's end.
    """

    start: NDArray[np.intp]
    length: NDArray[np.intp]
    layers: NDArray[np.intp]

    @classmethod
    def between(
        cls,
        layer: NDArray[np.intp],
        row: NDArray[np.intp],
        col: NDArray[np.intp],
        up: NDArray[np.bool_],
        count: int,
        shape: tuple[int, ...],
    ) -> _Runs:
        """Where steps up and steps down, the pixel's own and those to its left, do not cancel."""
        height, width = shape
        across = width + 1  # crossings beyond the right end have a place of their own
        place = (layer * height + row) * across + col
        # Sorted as one number of 32 bits, which takes a third of the time of an argsort; pieces and
        # strips are small enough for it.
        steps = np.sort((2 * place + up).astype(np.int32)).astype(np.intp)
        place = steps >> 1
        inside = np.cumsum(2 * (steps & 1) - 1)[:-1] != 0
        start, length = place[:-1][inside], np.diff(place)[inside]
        in_layer = start % (height * across)
        layers = np.searchsorted(start, np.arange(count + 1) * (height * across))
        return cls(in_layer - in_layer // across, length, layers)

    def pixels(self, layer: int) -> NDArray[np.intp]:
        """The pixels of a layer."""
        mine = slice(*self.layers[layer : layer + 2])
        start, length = self.start[mine], self.length[mine]
        stop = length.cumsum()
        return np.repeat(start - stop + length, length) + np.arange(stop[-1] if len(stop) else 0)


def _paint(
    polygons: Polygons,
    near: NDArray[np.intp],
    lattice: _Lattice,
    window: Window,
    out: NDArray[np.uint8],
) -> None:
    classes = polygons.scheme.classes
    ids = polygons.ids[near]
    canvas = np.ascontiguousarray(out)
    flat = canvas.reshape(-1)
    for burn, group in groupby(
        _painting_order(polygons, ids),
        key=lambda each: "centre" if each == IGNORE else classes[each].burn,
    ):
        layers = list(group)
        layer_of = np.full(256, -1)
        layer_of[layers] = np.arange(len(layers))
        mine = layer_of[ids] >= 0
        edges = lattice.edges(polygons.geometries[near[mine]], layer_of[ids[mine]], window)
        if burn == "majority":
            _paint_majority(edges, layers, canvas)
            continue
        runs = [_inside(edges, len(layers), out.shape)]
        if burn == "touched":
            runs.append(_crossed(edges, len(layers), out.shape))
        for layer, each in enumerate(layers):
            for found in runs:
                flat[found.pixels(layer)] = each
    if canvas is not out:
        out[:] = canvas


def _painting_order(polygons: Polygons, ids: NDArray[np.uint8]) -> Iterator[int]:
    priorities = polygons.scheme.priorities
    present = np.unique(ids).tolist()
    yield from (each for each in present if each == IGNORE)
    yield from sorted((i for i in present if i != IGNORE), key=lambda i: (priorities[i], i))


def _inside(edges: _Edges, count: int, shape: tuple[int, ...]) -> _Runs:
    """Which pixel centres lie in a polygon; a centre on an edge belongs to its left, lower side."""
    height, width = shape
    first = np.maximum(np.ceil(edges.y1 - 0.5), 0).astype(np.intp)
    stop = np.minimum(np.ceil(edges.y2 - 0.5), height).astype(np.intp)
    edge, row = _expand(first, stop)
    crossing = edges.x_at(edge, row + 0.5)
    col = np.clip(np.floor(crossing + 0.5) - edges.origin, 0, width).astype(np.intp)
    return _Runs.between(edges.layer[edge], row, col, edges.enters[edge], count, shape)


def _crossed(edges: _Edges, count: int, shape: tuple[int, ...]) -> _Runs:
    """Which pixels an edge passes through; one along a pixel's border does not."""
    height, width = shape
    first = np.maximum(np.floor(edges.y1), 0).astype(np.intp)
    stop = np.minimum(np.ceil(edges.y2), height).astype(np.intp)
    edge, row = _expand(first, stop)
    flat = edges.y1[edge] == edges.y2[edge]
    upper = np.where(flat, edges.x1[edge], edges.x_at(edge, row.astype(np.float64)))
    lower = np.where(flat, edges.x2[edge], edges.x_at(edge, row + 1.0))
    left = np.clip(np.floor(np.minimum(upper, lower)) - edges.origin, 0, width).astype(np.intp)
    right = np.clip(np.ceil(np.maximum(upper, lower)) - edges.origin, 0, width).astype(np.intp)
    both = np.tile(edge, 2)
    up = np.arange(len(both)) < len(edge)
    return _Runs.between(
        edges.layer[both], np.tile(row, 2), np.append(left, right), up, count, shape
    )


def _expand(
    first: NDArray[np.intp], stop: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Every (edge, row) with first <= row < stop."""
    counts = np.maximum(stop - first, 0)
    edge = np.repeat(np.arange(len(first)), counts)
    starts = np.cumsum(counts) - counts
    return edge, np.arange(len(edge)) - starts[edge] + first[edge]


def _paint_majority(edges: _Edges, layers: list[int], out: NDArray[np.uint8]) -> None:
    """Count who is seen in each subpixel; a byte holds the SUBPIXELS of a pixel's row as bits."""
    for top in range(0, len(out), STRIP):
        strip = out[top : top + STRIP]
        height, width = strip.shape[0] * SUBPIXELS, strip.shape[1] * SUBPIXELS
        runs = _inside(edges.part(top, SUBPIXELS), len(layers), (height, width))
        covered = np.zeros((height, strip.shape[1]), dtype=np.uint8)
        counts: dict[int, NDArray[np.uint8]] = {}
        for layer in reversed(range(len(layers))):
            fine = np.zeros((height, width), dtype=np.bool_)
            fine.reshape(-1)[runs.pixels(layer)] = True
            bits = np.packbits(fine, axis=1)
            counts[layer] = _ones(bits & ~covered)
            covered |= bits
        most = SUBPIXELS**2 - _ones(covered)
        for layer, each in enumerate(layers):
            wins = (counts[layer] > 0) & (counts[layer] >= most)
            strip[wins] = each
            most[wins] = counts[layer][wins]


def _ones(bits: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """How many subpixels of each pixel are set."""
    rows = np.bitwise_count(bits).reshape(-1, SUBPIXELS, bits.shape[1])
    return np.asarray(rows.sum(axis=1, dtype=np.uint8))
