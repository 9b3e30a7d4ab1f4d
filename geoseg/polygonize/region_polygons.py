"""Complete regions as shapely polygons."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import shapely
from numba import njit
from numpy.typing import NDArray

from geoseg.polygonize.band import Finished
from geoseg.polygonize.boundary_network import COL_BITS, COL_MASK, ROW_BITS
from geoseg.polygonize.strips import FIXED_POINT

if TYPE_CHECKING:
    from affine import Affine

MOST_CORNERS = 1 << 22
"""Corners in a batch at most, unless a single region has more: 64 MB of coordinates."""


@dataclass(frozen=True, eq=False)
class Regions:
    """A batch of complete regions, one row each.

    Attributes:
        geometries: (n,) shapely Polygon, or MultiPolygon where a region is connected by corners
            only; valid, in the raster's CRS, shells counter-clockwise and holes clockwise
            (RFC 7946).
        values: (n,) class values, in the raster's type.
        pixels: (n,) numbers of pixels.
        first: (n,) flat index of the first pixel, row by row: an id independent of strips.
        confidence: (n,) mean over the pixels with a confidence; NaN where none has one.
        touches_edge: (n,) whether the region has a pixel on the raster's outer edge.
    """

    geometries: NDArray[Any]
    values: NDArray[Any]
    pixels: NDArray[np.int64]
    first: NDArray[np.int64]
    confidence: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]


def collect(batches: Iterable[Regions]) -> Regions:
    """Concatenate batches, sorted by first pixel."""
    parts = list(batches) or [_none()]
    columns = {
        name: np.concatenate([vars(part)[name] for part in parts]) for name in vars(parts[0])
    }
    order = np.argsort(columns["first"], kind="stable")
    return Regions(**{name: column[order] for name, column in columns.items()})


def _none() -> Regions:
    return Regions(
        np.empty(0, object),
        np.empty(0, np.uint8),
        np.empty(0, np.int64),
        np.empty(0, np.int64),
        np.empty(0),
        np.empty(0, np.bool_),
    )


def regions_of(
    finished: Finished, affine: Affine, values: Callable[[NDArray[Any]], NDArray[Any]]
) -> Iterator[Regions]:
    """Make polygons of complete regions, some millions of corners at a time.

    Args:
        finished: the regions.
        affine: from columns and rows to the CRS.
        values: turns codes into class values.
    """
    corners = finished.starts[finished.rings[finished.faces]]
    start = 0
    while start < len(finished.groups.first):
        stop = int(np.searchsorted(corners, corners[start] + MOST_CORNERS, side="right")) - 1
        stop = max(stop, start + 1)
        yield _regions(finished, start, stop, affine, values)
        start = stop


def _regions(
    finished: Finished,
    start: int,
    stop: int,
    affine: Affine,
    values: Callable[[NDArray[Any]], NDArray[Any]],
) -> Regions:
    groups = finished.groups.take(slice(start, stop))
    faces = finished.faces[start : stop + 1]
    rings = finished.rings[faces[0] : faces[-1] + 1]
    starts = finished.starts[rings[0] : rings[-1] + 1]
    corners = finished.corners[starts[0] : starts[-1]]
    points, ends = _points(
        corners, starts - starts[0], np.array(tuple(affine)[:6]), affine.determinant > 0
    )
    polygons = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (ends, rings - rings[0])
    )
    known = groups.known > 0
    confidence = np.full(len(known), np.nan)
    np.divide(groups.total, groups.known * float(FIXED_POINT), out=confidence, where=known)
    return Regions(
        _grouped(polygons, faces - faces[0]),
        values(groups.code),
        groups.pixels,
        groups.first,
        confidence,
        groups.edge,
    )


def _grouped(polygons: NDArray[Any], starts: NDArray[np.int64]) -> NDArray[Any]:
    """One geometry per region: a MultiPolygon of regions with several faces."""
    counts = np.diff(starts)
    if (counts == 1).all():
        return polygons
    geometries = polygons[starts[:-1]]
    several = np.flatnonzero(counts > 1)
    owner = np.repeat(np.arange(len(counts)), counts)
    within = np.flatnonzero(counts[owner] > 1)
    multi = shapely.multipolygons(polygons[within], indices=np.searchsorted(several, owner[within]))
    geometries[several] = multi
    return geometries


@njit(nogil=True, cache=True)
def _place(corners: NDArray[Any], k: int) -> tuple[float, float]:
    """Row and column of a packed corner, or of a generalized point."""
    if corners.ndim == 1:
        return corners[k] >> ROW_BITS, corners[k] >> COL_BITS & COL_MASK
    return corners[k, 1], corners[k, 0]


@njit(nogil=True, cache=True)
def _points(
    corners: NDArray[Any],
    starts: NDArray[np.int64],
    affine: NDArray[np.float64],
    mirrored: bool,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The coordinates of rings, closed.

    Rings of a mirrored grid are reversed, so that shells stay counter-clockwise.

    Returns:
        (n, 2) x and y, and where each ring starts.
    """
    a, b, c, d, e, f = affine
    rings = len(starts) - 1
    points = np.empty((len(corners) + rings, 2))
    ends = np.empty(rings + 1, np.int64)
    n = 0
    for ring in range(rings):
        ends[ring] = n
        length = starts[ring + 1] - starts[ring]
        for k in range(length + 1):
            at = 0 if k == length else k
            if mirrored and at:
                at = length - at
            row, col = _place(corners, starts[ring] + at)
            points[n, 0] = a * col + b * row + c
            points[n, 1] = d * col + e * row + f
            n += 1
    ends[rings] = n
    return points, ends
