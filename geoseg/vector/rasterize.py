"""Polygons onto pixels: the same pixels however an area is cut into windows.

All classes of a window are painted from one list of edges, and only pixels that a polygon takes
are written, so the time depends on the polygons, not on the number of classes times the pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.vector.class_polygons import Polygons
from geoseg.vector.scanlines import PixelLattice, PolygonEdges, covered_centres, crossed_pixels

SUBPIXELS = 8
"""Pixels are cut into SUBPIXELS x SUBPIXELS to find what covers the largest part; a row of them
is the eight bits of a byte."""
PIECE = 1024
"""Side of the pieces painted at once; `scanlines` sorts their crossings as 32-bit numbers."""
STRIP = 32
"""Rows of which all subpixels are held at once: 2 MB for a piece."""


def rasterize(polygons: Polygons, geobox: GeoBox) -> NDArray[np.uint8]:
    """Paint polygons onto a grid.

    Classes of higher priority are painted over those of lower priority, and of equal ones the
    higher class id over the lower; polygons without a class (255) lie under all others. Within a
    class the order makes no difference. Pixels under no polygon get the scheme's ``outside``. The
    class's ``burn`` decides which pixels a polygon takes:

    - "centre": those whose centre lies inside it. A centre exactly on an edge belongs to one of
      the two sides only: neighbours never leave gaps and never overlap.
    - "touched": those of which it covers any part.
    - "majority": those of which its class covers more than any other, in steps of 1/64 px. What
      was painted before, and what lies outside, competes; of equals, the one on top wins.

    Args:
        polygons: the polygons, in the CRS of the grid.
        geobox: the grid; any affine, also rotated or south-up.

    Returns:
        (height, width) uint8 class ids; exactly the same pixels in any window of the grid.

    Raises:
        GridError: the polygons are in another CRS than the grid.

    Example:
        >>> import shapely
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
    lattice = PixelLattice.of(geobox)
    out = np.full((height, width), polygons.scheme.outside_id, dtype=np.uint8)
    for window in grid.split(grid.whole((height, width)), PIECE):
        near = polygons.tree.query(lattice.outline(window))
        if near.size:
            _paint(polygons, near, lattice, window, out[window.slices])
    return out


def _paint(
    polygons: Polygons,
    near: NDArray[np.intp],
    lattice: PixelLattice,
    window: Window,
    out: NDArray[np.uint8],
) -> None:
    """Paint the polygons ``near`` onto a window; layers of one burn in a row share a pass."""
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
        runs = [covered_centres(edges, len(layers), out.shape)]
        if burn == "touched":
            runs.append(crossed_pixels(edges, len(layers), out.shape))
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


def _paint_majority(edges: PolygonEdges, layers: list[int], out: NDArray[np.uint8]) -> None:
    """Paint each pixel with the class of most of its subpixels.

    From the top layer down, so that each subpixel counts for the class that is seen there. A byte
    holds the SUBPIXELS of a pixel's row as bits.
    """
    for top in range(0, len(out), STRIP):
        strip = out[top : top + STRIP]
        height, width = strip.shape[0] * SUBPIXELS, strip.shape[1] * SUBPIXELS
        runs = covered_centres(edges.part(top, SUBPIXELS), len(layers), (height, width))
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
    """Number of subpixels of each pixel that are set, (rows, columns)."""
    rows = np.bitwise_count(bits).reshape(-1, SUBPIXELS, bits.shape[1])
    return np.asarray(rows.sum(axis=1, dtype=np.uint8))
