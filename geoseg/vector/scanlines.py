"""Polygons as runs of pixels, found row by row where their edges cross.

GDAL computes in coordinates relative to the window it is given, so that an edge through a pixel's
centre may fall on either side of it, depending on the window. Here every edge is computed in one
frame, the pixel lattice counted from the CRS's origin, and windows only choose which of its rows
and columns they show. Vertices are first snapped to 1/65536 px, so that what was drawn on pixel
borders or centres lies exactly there.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.grid import Window

SNAP = 65536
"""Vertices lie on multiples of 1/SNAP px: a power of two, so that pixels and halves are exact."""


@dataclass(frozen=True)
class PixelLattice:
    """Pixel coordinates counted from the CRS's origin, the same for all windows of a grid.

    Coordinates near a window's own corner would be rounded differently in every window.

    Attributes:
        inverse: (2, 2) from CRS offsets to (column, row) offsets.
        fraction: (2,) by how much pixel corners are off whole (column, row), in 1/SNAP px.
        corner: (column, row) of the grid's first pixel; integers.
        affine: the grid's affine.
    """

    inverse: NDArray[np.float64]
    fraction: NDArray[np.float64]
    corner: tuple[int, int]
    affine: Any

    @classmethod
    def of(cls, geobox: GeoBox) -> PixelLattice:
        """The lattice of a grid."""
        affine = geobox.affine
        inverse = np.linalg.inv(np.array([[affine.a, affine.b], [affine.d, affine.e]]))
        col, row = np.rint(inverse @ (affine.c, affine.f) * SNAP)
        corner = int(col // SNAP), int(row // SNAP)
        return cls(inverse, np.array([col % SNAP, row % SNAP]), corner, affine)

    def outline(self, window: Window) -> shapely.Polygon:
        """The window's footprint in the CRS, a pixel wider on each side than the window."""
        (bottom, right), wide = window.stop, window.expand(1)
        corners = ((wide.col, wide.row), (right + 1, wide.row), (right + 1, bottom + 1))
        return shapely.Polygon([self.affine @ c for c in (*corners, (wide.col, bottom + 1))])

    def edges(
        self, geometries: NDArray[Any], layer: NDArray[np.intp], window: Window
    ) -> PolygonEdges:
        """The edges that cross a window's rows.

        Args:
            geometries: (n,) Polygons and MultiPolygons in the CRS of the grid.
            layer: (n,) number of the layer of paint of each.
            window: the window; row 0 of the edges is its first.
        """
        parts, owner = shapely.get_parts(geometries, return_index=True)
        rings, part = shapely.get_rings(parts, return_index=True)
        outer = np.diff(part, prepend=-1) > 0
        points, ring = shapely.get_coordinates(rings, return_index=True)
        col, row = self._snapped(points)
        row -= self.corner[1] + window.row
        same = np.flatnonzero(ring[1:] == ring[:-1])
        x1, x2, y1, y2 = col[same], col[same + 1], row[same], row[same + 1]
        # Layers may draw rings either way round, so that is measured, not taken from the file.
        side = _turns(x1, x2, y1, y2, ring[same], len(rings)) == outer
        enters = (y1 < y2) == side[ring[same]]
        up = y1 > y2
        x1[up], x2[up], y1[up], y2[up] = x2[up], x1[up], y2[up], y1[up]
        seen = (y1 <= window.height) & (y2 >= 0)
        origin = self.corner[0] + window.col
        layer = layer[owner][part][ring[same]]
        return PolygonEdges(
            x1[seen], x2[seen], y1[seen], y2[seen], enters[seen], layer[seen], origin
        )  # fmt: skip

    def _snapped(self, points: NDArray[np.float64]) -> NDArray[np.float64]:
        x, y = points.T
        (a, b), (d, e) = self.inverse
        found = np.rint(np.stack([x * a + y * b, x * d + y * e]) * SNAP)
        return np.asarray((found - self.fraction[:, None]) / SNAP)


@dataclass(frozen=True)
class PolygonEdges:
    """Edges of polygons in pixels, downward (y1 <= y2).

    Rows count from the window's top, columns from the CRS's origin: at a given row, an edge then
    has the same column to the bit in whatever window it is seen.

    Attributes:
        x1: (edges,) column of the upper end.
        x2: (edges,) column of the lower end.
        y1: (edges,) row of the upper end.
        y2: (edges,) row of the lower end.
        enters: (edges,) whether crossing the edge to the right leads into a polygon, or out of it.
        layer: (edges,) number of the layer of paint it belongs to.
        origin: column of the window's first pixel.
    """

    x1: NDArray[np.float64]
    x2: NDArray[np.float64]
    y1: NDArray[np.float64]
    y2: NDArray[np.float64]
    enters: NDArray[np.bool_]
    layer: NDArray[np.intp]
    origin: int

    def part(self, row: int, zoom: int) -> PolygonEdges:
        """The same edges with rows counted from ``row``, in pixels ``zoom`` times smaller."""
        y1, y2 = (self.y1 - row) * zoom, (self.y2 - row) * zoom
        x1, x2 = self.x1 * zoom, self.x2 * zoom
        return replace(self, x1=x1, x2=x2, y1=y1, y2=y2, origin=self.origin * zoom)

    def x_at(self, edge: NDArray[np.intp], y: NDArray[Any]) -> NDArray[np.float64]:
        """The columns at which edges, given by position, pass the rows ``y``; the ends exactly."""
        x1, x2, y1, y2 = self.x1[edge], self.x2[edge], self.y1[edge], self.y2[edge]
        with np.errstate(divide="ignore", invalid="ignore"):
            between = x1 + (y - y1) * (x2 - x1) / (y2 - y1)
        return np.where(y <= y1, x1, np.where(y >= y2, x2, between))


@dataclass(frozen=True)
class PixelRuns:
    """Pixels of layers as runs along rows; within a layer they do not overlap.

    Attributes:
        start: (runs,) first pixel, counted row by row; runs are sorted by layer, then by pixel.
        length: (runs,) number of pixels.
        layers: (layers + 1,) where the runs of each layer begin, and where the last layer's end.
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
    ) -> PixelRuns:
        """The runs between steps into polygons and steps out of them.

        A pixel belongs to a layer where the steps at it and to its left do not cancel: polygons of
        one layer may overlap, and a hole may lie in another polygon.

        Args:
            layer: (steps,) layer of each step.
            row: (steps,) its row.
            col: (steps,) the pixel from which it holds; the width for those beyond the right end.
            up: (steps,) whether it leads into a polygon.
            count: number of layers.
            shape: (height, width) of the canvas.
        """
        height, width = shape
        across = width + 1  # steps beyond the right end have a place of their own
        place = (layer * height + row) * across + col
        # Sorted as one 32-bit number, which takes a third of the time of an argsort. 2 * 256 layers
        # of a piece of 1024 x 1025 px, or of the subpixels of a strip, stay below 2**31.
        steps = np.sort((2 * place + up).astype(np.int32)).astype(np.intp)
        place = steps >> 1
        inside = np.cumsum(2 * (steps & 1) - 1)[:-1] != 0
        start, length = place[:-1][inside], np.diff(place)[inside]
        in_layer = start % (height * across)
        layers = np.searchsorted(start, np.arange(count + 1) * (height * across))
        return cls(in_layer - in_layer // across, length, layers)

    def pixels(self, layer: int) -> NDArray[np.intp]:
        """The pixels of a layer, counted row by row."""
        mine = slice(*self.layers[layer : layer + 2])
        start, length = self.start[mine], self.length[mine]
        stop = length.cumsum()
        return np.repeat(start - stop + length, length) + np.arange(stop[-1] if len(stop) else 0)


def covered_centres(edges: PolygonEdges, count: int, shape: tuple[int, ...]) -> PixelRuns:
    """The pixels whose centre lies in a polygon, by layer.

    A centre exactly on an edge belongs to the polygon on one side of it only, that to the left, or
    below a level edge: neighbours leave no gap and do not overlap.
    """
    height, width = shape
    first = np.maximum(np.ceil(edges.y1 - 0.5), 0).astype(np.intp)
    stop = np.minimum(np.ceil(edges.y2 - 0.5), height).astype(np.intp)
    edge, row = _expand(first, stop)
    crossing = edges.x_at(edge, row + 0.5)
    col = np.clip(np.floor(crossing + 0.5) - edges.origin, 0, width).astype(np.intp)
    return PixelRuns.between(edges.layer[edge], row, col, edges.enters[edge], count, shape)


def crossed_pixels(edges: PolygonEdges, count: int, shape: tuple[int, ...]) -> PixelRuns:
    """The pixels that an edge passes through, by layer; an edge along their border does not."""
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
    return PixelRuns.between(
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


def _turns(
    x1: NDArray[np.float64],
    x2: NDArray[np.float64],
    y1: NDArray[np.float64],
    y2: NDArray[np.float64],
    ring: NDArray[np.intp],
    count: int,
) -> NDArray[np.bool_]:
    """Which way round each ring runs in pixels: whether its signed area (shoelace) is positive.

    Counted from the ring's first point, because columns from the CRS's origin are so large that
    products of them lose the area of a small ring.
    """
    first = np.searchsorted(ring, np.arange(count))
    x0, y0 = x1[first][ring], y1[first][ring]
    doubled = np.bincount(ring, (x1 - x0) * (y2 - y0) - (x2 - x0) * (y1 - y0), minlength=count)
    return np.asarray(doubled >= 0)
