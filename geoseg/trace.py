"""A class raster to polygons."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
import pyproj
import rasterio.features
import shapely
from numpy.typing import NDArray

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.errors import GridError, RasterError

if TYPE_CHECKING:
    import geopandas
    from odc.geo.geobox import GeoBox

    from geoseg.grid import Window

NODES = 129
"""Pixel areas are computed at up to NODES x NODES places and interpolated between them."""


class Block(Protocol):
    """Pixels and which of them are real."""

    @property
    def pixels(self) -> NDArray[Any]:
        """(bands, height, width)."""
        ...

    @property
    def valid(self) -> NDArray[np.bool_]:
        """(height, width)."""
        ...


class Source(Protocol):
    """What tracing needs of a raster; every ``geoseg.raster.RasterSource`` has it."""

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def geobox(self) -> GeoBox:
        """Its grid."""
        ...

    def read(self, window: Window) -> Block:
        """Read a window."""
        ...


def trace(
    classes: Source,
    *,
    confidence: Source | None = None,
    min_area_m2: float = 0.0,
    connectivity: Literal[4, 8] = 4,
) -> geopandas.GeoDataFrame:
    """Turn every region of one class into a polygon.

    Pixels without a value, or of value 255, belong to no polygon. The raster is read whole.

    Args:
        classes: one band of class ids, whole numbers.
        confidence: one band of 0 to 100 on the same grid.
        min_area_m2: regions smaller than this join their largest neighbour before tracing.
        connectivity: 4 to join pixels over their sides, 8 also over their corners; the polygons
            are valid either way (8 gives MultiPolygons).

    Returns:
        One row per region, by class, then by first pixel from the top left, in the raster's CRS:
        ``class_id``; ``area_m2`` and ``perimeter_m``, planar in transverse Mercator CRSs such as
        UTM, else true to the ellipsoid; ``confidence``, the mean (NaN where unknown);
        ``n_pixels``; ``geom``.

    Raises:
        RasterError: the classes are not one band of whole numbers.
        GridError: the confidence lies on another grid.

    Example:
        >>> from types import SimpleNamespace
        >>> from affine import Affine
        >>> from odc.geo.geobox import GeoBox
        >>> geobox = GeoBox((2, 3), Affine(10, 0, 0, 0, -10, 20), "EPSG:32633")
        >>> block = SimpleNamespace(
        ...     pixels=np.array([[[0, 0, 1], [0, 255, 1]]]), valid=np.ones((2, 3), bool))
        >>> source = SimpleNamespace(name="map", geobox=geobox, read=lambda window: block)
        >>> trace(source)[["class_id", "area_m2", "n_pixels"]].values.tolist()
        [[0.0, 300.0, 3.0], [1.0, 200.0, 2.0]]
    """
    values, valid = _read_classes(classes)
    geobox = classes.geobox
    areas = _pixel_areas_m2(geobox)
    if min_area_m2 > 0:
        pixels = ceil(min_area_m2 / float(areas.mean()) * (1 - 1e-9))
        values = rasterio.features.sieve(values, pixels, mask=valid, connectivity=connectivity)
    labels, first = _label(values, valid, connectivity)
    geometries = _outlines(labels, len(first), geobox)
    return _frame(
        geobox,
        geometries,
        {
            "class_id": values.ravel()[first],
            "area_m2": _sums(labels, areas, len(first)),
            "perimeter_m": _perimeters_m(geometries, geobox),
            "confidence": _means(labels, confidence, geobox, len(first)),
            "n_pixels": np.bincount(labels.ravel(), minlength=len(first) + 1)[1:],
        },
    )


def _read_classes(source: Source) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    block = source.read(_all(source.geobox))
    if len(block.pixels) != 1 or block.pixels.dtype.kind not in "ui":
        raise RasterError(
            "is no class raster",
            where=source.name,
            got=f"{len(block.pixels)} bands of {block.pixels.dtype}",
            wanted="one band of whole numbers",
        )
    values = block.pixels[0].astype(np.int32)
    return values, block.valid & (values != IGNORE)


def _all(geobox: GeoBox) -> Window:
    height, width = geobox.shape
    return grid.whole((height, width))


def _label(
    values: NDArray[np.int32], valid: NDArray[np.bool_], connectivity: int
) -> tuple[NDArray[np.int32], NDArray[np.intp]]:
    """Number the regions from 1, by class, then first pixel; 0 where there is none.

    Returns:
        Labels (height, width), and the position of each region's first pixel.
    """
    from skimage.measure import label

    _, codes = np.unique(values, return_inverse=True)
    codes = np.where(valid, codes.reshape(values.shape) + 1, 0)
    reach = 1 if connectivity == 4 else 2
    found: NDArray[Any] = label(codes, background=0, connectivity=reach)  # type: ignore[no-untyped-call]
    first = np.zeros(int(found.max(initial=0)) + 1, dtype=np.intp)
    first[found.ravel()[::-1]] = np.arange(found.size)[::-1]
    order = np.lexsort((first[1:], values.ravel()[first[1:]])) + 1
    number = np.zeros(len(first), dtype=np.int32)
    number[order] = np.arange(1, len(first))
    return number[found], first[order]


def _outlines(labels: NDArray[np.int32], count: int, geobox: GeoBox) -> NDArray[Any]:
    """The geometry of each region; the corners of a pixel come out the same for all of them."""
    shapes = rasterio.features.shapes(labels, mask=labels > 0, connectivity=4)
    found = [(shape["coordinates"], int(label)) for shape, label in shapes]
    rings = [np.asarray(ring) for polygon, _ in found for ring in polygon]
    if not rings:
        return np.empty(0, dtype=object)
    cols, rows = np.concatenate(rings).T
    points = np.stack(geobox.affine @ (cols, rows), axis=1)
    ring_starts = np.cumsum([0, *(len(ring) for ring in rings)])
    polygon_starts = np.cumsum([0, *(len(polygon) for polygon, _ in found)])
    parts = shapely.from_ragged_array(
        shapely.GeometryType.POLYGON, points, (ring_starts, polygon_starts)
    )
    parts = shapely.orient_polygons(parts)
    return _joined(parts, np.array([label - 1 for _, label in found]), count)


def _joined(parts: NDArray[Any], owner: NDArray[np.intp], count: int) -> NDArray[Any]:
    """One geometry per region, valid also where a region touches itself in a corner."""
    order = np.argsort(owner, kind="stable")
    parts, owner = parts[order], owner[order]
    geometries = np.empty(count, dtype=object)
    geometries[owner] = parts
    several = np.flatnonzero(np.bincount(owner, minlength=count) > 1)
    for i in several:
        start, stop = np.searchsorted(owner, (i, i + 1))
        geometries[i] = shapely.multipolygons(parts[start:stop])
    return geometries


def _sums(labels: NDArray[np.int32], areas: NDArray[np.float64], count: int) -> NDArray[Any]:
    """The sum of pixel areas per region; exactly count times area where all are equal."""
    if areas.size == 1:
        return np.bincount(labels.ravel(), minlength=count + 1)[1:] * float(areas)
    return np.bincount(labels.ravel(), areas.ravel(), minlength=count + 1)[1:]


def _means(
    labels: NDArray[np.int32], confidence: Source | None, geobox: GeoBox, count: int
) -> NDArray[np.float64]:
    if confidence is None:
        return np.full(count, np.nan)
    misfit = grid.misfit(geobox, confidence.geobox)
    if misfit is not None:
        raise GridError(
            "the confidence is not on the grid of the classes", where=confidence.name, got=misfit
        )
    block = confidence.read(_all(geobox))
    seen = labels[block.valid]
    total = np.bincount(seen, block.pixels[0][block.valid], minlength=count + 1)[1:]
    support = np.bincount(seen, minlength=count + 1)[1:]
    means = np.full(count, np.nan)
    np.divide(total, support, out=means, where=support > 0)
    return means


def _is_planar(geobox: GeoBox) -> bool:
    """Whether lengths and areas may be taken in the plane: transverse Mercator in metres."""
    crs = grid.crs_of(geobox).proj
    operation = crs.coordinate_operation
    metres = crs.is_projected and crs.axis_info[0].unit_conversion_factor == 1
    return metres and operation is not None and operation.method_name == "Transverse Mercator"


def _pixel_areas_m2(geobox: GeoBox) -> NDArray[np.float64]:
    """The area of each pixel: () where all are equal, else (height, width).

    Away from transverse Mercator, areas are taken in Lambert's azimuthal equal-area projection
    around the raster's centre, which keeps them everywhere.
    """
    affine = geobox.affine
    if _is_planar(geobox):
        return np.array(abs(affine.determinant))
    height, width = geobox.shape
    rows = np.linspace(0.5, height - 0.5, min(height, NODES))
    cols = np.linspace(0.5, width - 0.5, min(width, NODES))
    equal_area = _equal_area(geobox)

    def moved(down: float, right: float) -> NDArray[np.float64]:
        at_cols, at_rows = np.meshgrid(cols + right, rows + down)
        x = affine.a * at_cols + affine.b * at_rows + affine.c
        y = affine.d * at_cols + affine.e * at_rows + affine.f
        return np.stack(equal_area.transform(x, y))

    (ax, ay), (bx, by) = moved(0, 0.5) - moved(0, -0.5), moved(0.5, 0) - moved(-0.5, 0)
    return _interpolated(np.abs(ax * by - ay * bx), rows, cols, (height, width))


def _equal_area(geobox: GeoBox) -> pyproj.Transformer:
    crs = grid.crs_of(geobox).proj
    height, width = geobox.shape
    centre = geobox.affine @ (width / 2, height / 2)
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*centre)
    laea = pyproj.CRS.from_proj4(f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")
    return pyproj.Transformer.from_crs(crs, laea, always_xy=True)


def _interpolated(
    nodes: NDArray[np.float64],
    rows: NDArray[np.float64],
    cols: NDArray[np.float64],
    shape: tuple[int, int],
) -> NDArray[np.float64]:
    height, width = (np.arange(size) + 0.5 for size in shape)
    tall = np.stack([np.interp(height, rows, column) for column in nodes.T], axis=1)
    return np.stack([np.interp(width, cols, row) for row in tall])


def _perimeters_m(geometries: NDArray[Any], geobox: GeoBox) -> NDArray[np.float64]:
    if _is_planar(geobox):
        return np.asarray(shapely.length(geometries), dtype=np.float64)
    rings, owner = shapely.get_rings(geometries, return_index=True)
    points, ring = shapely.get_coordinates(rings, return_index=True)
    to_lonlat = pyproj.Transformer.from_crs(grid.crs_of(geobox).proj, 4326, always_xy=True)
    lon, lat = to_lonlat.transform(*points.T)
    steps = pyproj.Geod(ellps="WGS84").inv(lon[:-1], lat[:-1], lon[1:], lat[1:])[2]
    within = ring[1:] == ring[:-1]
    return np.bincount(owner[ring[1:][within]], steps[within], minlength=len(geometries))


def _frame(
    geobox: GeoBox, geometries: NDArray[Any], columns: dict[str, NDArray[Any]]
) -> geopandas.GeoDataFrame:
    import geopandas

    return geopandas.GeoDataFrame(
        columns | {"geom": geometries}, geometry="geom", crs=grid.crs_of(geobox).proj
    )
