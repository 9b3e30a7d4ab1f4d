"""Ids of the object that each pixel belongs to: a drawn polygon, or a region of a raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.grid import Window
from geoseg.labels import Labels, PolygonLabels
from geoseg.vector import Polygons


@dataclass(frozen=True, eq=False)
class WindowObjects:
    """The objects in a window.

    Attributes:
        pixels: (height, width) 0 for none, else 1 + the object's position in ``names``.
        names: (n,) numbers that are unique in the map.
        ids: (n,) class of each object.
    """

    pixels: NDArray[np.int32]
    names: NDArray[np.int64]
    ids: NDArray[np.uint8]


class MapObjects(Protocol):
    """Objects of some classes, window by window."""

    def number(self, window: Window, ids: NDArray[np.uint8]) -> WindowObjects:
        """Number the objects in a window; windows come row by row, and partition the map.

        Args:
            window: the window.
            ids: (height, width) its class ids.
        """
        ...

    def roots(self) -> NDArray[np.int64]:
        """(names,) the object that each name belongs to; one object may have several names."""
        ...


def objects_of(classes: Labels, wanted: tuple[int, ...], geobox: GeoBox) -> MapObjects:
    """The objects of a layer: its polygons, or the 4-connected regions of a raster.

    Args:
        classes: class ids on the grid.
        wanted: ids of the classes whose objects count.
        geobox: the grid.
    """
    if isinstance(classes, PolygonLabels):
        return PolygonObjects(classes.polygons, wanted, geobox)
    return RegionObjects(wanted)


class PolygonObjects:
    """Polygons of some classes; each is an object, even where it touches another.

    Args:
        polygons: the polygons, in the CRS of the grid.
        wanted: ids of the classes.
        geobox: the grid.
    """

    def __init__(self, polygons: Polygons, wanted: tuple[int, ...], geobox: GeoBox) -> None:
        self.polygons, self.geobox = polygons, geobox
        self.wanted = np.isin(polygons.ids, wanted)

    def number(self, window: Window, ids: NDArray[np.uint8]) -> WindowObjects:
        """Burn the polygons in a window, except where another class was burned over them."""
        geobox = grid.crop(self.geobox, window)
        near = np.sort(self.polygons.tree.query(geobox.extent.geom, predicate="intersects"))
        near = near[self.wanted[near]]
        pixels = np.zeros(window.shape, dtype=np.int32)
        burns = [self.polygons.scheme.classes[each].burn for each in self.polygons.ids[near]]
        touched = np.array([burn == "touched" for burn in burns], dtype=bool)
        for all_touched in (False, True):
            positions = np.flatnonzero(touched == all_touched)
            _burn(pixels, self.polygons.geometries[near], positions, geobox, all_touched)
        # Where polygons of several classes overlap, ids holds the one on top.
        own = np.append(IGNORE, self.polygons.ids[near]).astype(np.uint8)
        pixels[own[pixels] != ids] = 0
        return WindowObjects(pixels, near.astype(np.int64), self.polygons.ids[near])

    def roots(self) -> NDArray[np.int64]:
        """One per polygon: polygons are whole from the start."""
        return np.arange(len(self.polygons.ids))


class RegionObjects:
    """4-connected regions of one class, joined across windows.

    Args:
        wanted: ids of the classes.
    """

    def __init__(self, wanted: tuple[int, ...]) -> None:
        self.wanted = np.isin(np.arange(IGNORE + 1), wanted)
        self._count = 0
        self._same: list[NDArray[np.int64]] = []
        # Names and classes along edges of windows done, by corner and direction of the edge.
        self._open: dict[tuple[int, int, bool], tuple[NDArray[np.int64], NDArray[np.uint8]]] = {}

    def number(self, window: Window, ids: NDArray[np.uint8]) -> WindowObjects:
        """Label the regions in a window, and join them with those above and to the left."""
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
        return WindowObjects(pixels, names, of[1:])

    def roots(self) -> NDArray[np.int64]:
        """Names joined along edges of windows, directly or through others, are one object."""
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
        """Join regions on both sides of an edge; only edges still open are kept in memory."""
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


def _burn(
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
