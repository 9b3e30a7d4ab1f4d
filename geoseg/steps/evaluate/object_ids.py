"""Which object a pixel belongs to: polygons as they were drawn, or regions of a raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.grid import Window
from geoseg.labels import PolygonLabels
from geoseg.maps.sides import Classes
from geoseg.vector import Polygons


@dataclass(frozen=True, eq=False)
class Numbered:
    """The objects of a window.

    Attributes:
        pixels: (height, width): 0 for none, else 1 and the position of the object in ``names``.
        names: (n,) numbers that hold for the whole map.
        ids: (n,) class of each.
    """

    pixels: NDArray[np.int32]
    names: NDArray[np.int64]
    ids: NDArray[np.uint8]


class Parts(Protocol):
    """Objects of some classes, window by window."""

    def number(self, window: Window, ids: NDArray[np.uint8]) -> Numbered:
        """Number the objects of a window; windows come row by row, and partition the map.

        Args:
            window: where to look.
            ids: the class ids there.
        """
        ...

    def roots(self) -> NDArray[np.int64]:
        """The object of each name: where several names are one object, it is the same."""
        ...


def parts_of(classes: Classes, wanted: tuple[int, ...], geobox: GeoBox) -> Parts:
    """The objects of a side: its polygons where it has some, else its 4-connected regions."""
    if isinstance(classes, PolygonLabels):
        return PolygonParts(classes.polygons, wanted, geobox)
    return RegionParts(wanted)


class PolygonParts:
    """Polygons of some classes; each is an object, also where it touches another.

    Args:
        polygons: the polygons, in the CRS of the grid.
        wanted: ids of the classes.
        geobox: the grid.
    """

    def __init__(self, polygons: Polygons, wanted: tuple[int, ...], geobox: GeoBox) -> None:
        self.polygons, self.geobox = polygons, geobox
        self.wanted = np.isin(polygons.ids, wanted)

    def number(self, window: Window, ids: NDArray[np.uint8]) -> Numbered:
        """Paint the polygons of a window; pixels that another class has taken are not theirs."""
        geobox = grid.crop(self.geobox, window)
        near = np.sort(self.polygons.tree.query(geobox.extent.geom, predicate="intersects"))
        near = near[self.wanted[near]]
        pixels = np.zeros(window.shape, dtype=np.int32)
        burns = [self.polygons.scheme.classes[each].burn for each in self.polygons.ids[near]]
        touched = np.array([burn == "touched" for burn in burns], dtype=bool)
        for all_touched in (False, True):
            positions = np.flatnonzero(touched == all_touched)
            _paint(pixels, self.polygons.geometries[near], positions, geobox, all_touched)
        own = np.append(IGNORE, self.polygons.ids[near]).astype(np.uint8)
        pixels[own[pixels] != ids] = 0
        return Numbered(pixels, near.astype(np.int64), self.polygons.ids[near])

    def roots(self) -> NDArray[np.int64]:
        """Every polygon is an object of its own."""
        return np.arange(len(self.polygons.ids))


class RegionParts:
    """Regions of pixels of one class that touch along their sides, whatever the windows.

    Args:
        wanted: ids of the classes.
    """

    def __init__(self, wanted: tuple[int, ...]) -> None:
        self.wanted = np.isin(np.arange(IGNORE + 1), wanted)
        self._count = 0
        self._same: list[NDArray[np.int64]] = []
        self._open: dict[tuple[int, int, bool], tuple[NDArray[np.int64], NDArray[np.uint8]]] = {}

    def number(self, window: Window, ids: NDArray[np.uint8]) -> Numbered:
        """Label the regions of a window, and note where they go on from those before."""
        ours = np.where(self.wanted[ids], ids, IGNORE).astype(np.uint8)
        pixels, count = _regions(ours)
        of = np.zeros(count + 1, dtype=np.uint8)
        of[pixels] = ours
        names = self._count + np.arange(count, dtype=np.int64)
        self._count += count
        everywhere = np.append(-1, names)[pixels[[0, -1]]], np.append(-1, names)[pixels[:, [0, -1]]]
        (top, bottom), (left, right) = everywhere[0], everywhere[1].T
        (row, col), (stop_row, stop_col) = (window.row, window.col), window.stop
        self._join((row, col, True), top, ours[0])
        self._join((row, col, False), left, ours[:, 0])
        self._open[stop_row, col, True] = bottom, ours[-1]
        self._open[row, stop_col, False] = right, ours[:, -1]
        return Numbered(pixels, names, of[1:])

    def roots(self) -> NDArray[np.int64]:
        """Names that met along an edge of windows, directly or over others, are one object."""
        from scipy import sparse

        pairs = np.concatenate([np.empty((0, 2), np.int64), *self._same])
        if not len(pairs):
            return np.arange(self._count)
        ones = np.ones(len(pairs), dtype=np.int8)
        graph = sparse.coo_array((ones, tuple(pairs.T)), shape=(self._count, self._count))
        found: NDArray[Any] = sparse.csgraph.connected_components(graph, directed=False)[1]
        return found.astype(np.int64)

    def _join(
        self, place: tuple[int, int, bool], names: NDArray[np.int64], ids: NDArray[np.uint8]
    ) -> None:
        before = self._open.pop(place, None)
        if before is not None:
            meet = (before[0] >= 0) & (names >= 0) & (before[1] == ids)
            self._same.append(np.unique(np.stack([before[0], names], axis=1)[meet], axis=0))


def _regions(ids: NDArray[np.uint8]) -> tuple[NDArray[np.int32], int]:
    from skimage.measure import label

    pixels, count = label(  # type: ignore[no-untyped-call]
        ids, background=IGNORE, return_num=True, connectivity=1
    )
    return pixels.astype(np.int32), int(count)


def _paint(
    pixels: NDArray[np.int32],
    geometries: NDArray[Any],
    positions: NDArray[np.intp],
    geobox: GeoBox,
    all_touched: bool,
) -> None:
    from rasterio.features import rasterize

    if positions.size:
        shapes = [(geometries[i], int(i) + 1) for i in positions]
        rasterize(shapes, out=pixels, transform=geobox.affine, all_touched=all_touched)
