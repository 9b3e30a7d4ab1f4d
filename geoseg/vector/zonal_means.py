"""The mean of a raster over polygons, with each pixel weighted by the share that is covered."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyproj
import shapely
from exactextract import exact_extract
from exactextract.feature import Feature, FeatureSource
from exactextract.raster import RasterSource
from numpy.typing import NDArray

from geoseg import grid
from geoseg.errors import GridError
from geoseg.grid import Window, WindowSource
from geoseg.vector.lonlat import to_lonlat
from geoseg.vector.reproject import reproject

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

MAX_CELLS = 1 << 22
"""Pixels that exactextract processes at a time."""
READ_CELLS = 10_000
"""Pixels that are read in the time that a read takes by itself, about 0.2 ms."""


def means(geometries: NDArray[Any], crs: pyproj.CRS, source: WindowSource) -> NDArray[np.float64]:
    """The mean of a raster's first band over each polygon.

    Every pixel counts by the share of it that the polygon covers; invalid pixels do not count.

    Args:
        geometries: (n,) Polygons and MultiPolygons, none empty.
        crs: their CRS.
        source: the raster, on any grid, in any CRS.

    Returns:
        (n,) means; NaN for a polygon that covers no valid pixel.

    Raises:
        GridError: the raster is in degrees and reaches beyond 180 degrees.
        RasterError: the raster cannot be read.
        VectorError: a vertex has no longitude and latitude.
    """
    cells = shapely.transform(
        _in_crs_of(source, geometries, crs), lambda points: grid.to_pixels(points, source.geobox)
    )
    upward = shapely.transform(cells, lambda points: points * (1, -1))
    found = np.full(len(geometries), np.nan)
    near, boxes = _on_grid(upward, source.geobox)
    if not near.size:
        return found
    area, apart = _frame(boxes), _cells_of(boxes) + READ_CELLS * len(near)
    rows = exact_extract(
        _Cells(source, area), _Zones(upward[near]), ["mean"], include_cols=["i"], output="geojson",
        max_cells_in_memory=MAX_CELLS,
        strategy="feature-sequential" if apart < area.height * area.width else "raster-sequential",
    )  # fmt: skip
    for row in rows:
        found[near[row["properties"]["i"]]] = row["properties"]["mean"]
    return found


def _in_crs_of(source: WindowSource, geometries: NDArray[Any], crs: pyproj.CRS) -> NDArray[Any]:
    target = grid.crs_of(source.geobox).proj
    if target.equals(crs, ignore_axis_order=True):
        return geometries
    if not target.is_geographic:
        return reproject(geometries, crs, target)
    west, _, east, _ = grid.bounds(source.geobox)
    if west < -180.001 or east > 180.001:
        raise GridError(
            "its longitudes go beyond 180 degrees",
            where=source.name,
            got=f"{west:.6g} to {east:.6g}",
            fix="bring it into the CRS of the classes: gdalwarp -t_srs",
        )
    return to_lonlat(geometries, crs, target)


def _on_grid(cells: NDArray[Any], geobox: GeoBox) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """The polygons that meet the raster, and the rows and columns of their bounding boxes.

    Polygons with coordinates that are not finite in the raster's CRS do not meet it.

    Args:
        cells: (n,) polygons in pixels, y upward.
        geobox: the raster's grid.

    Returns:
        (m,) positions of the polygons, and (4, m) first row, first column, and those to stop at.
    """
    height, width = geobox.shape
    left, bottom, right, top = shapely.bounds(cells).T
    near = np.isfinite(left + bottom + right + top)
    near &= (right > 0) & (left < width) & (top > -height) & (bottom < 0)
    left, bottom, right, top = (side[near] for side in (left, bottom, right, top))
    first = np.floor([np.maximum(-top, 0), np.maximum(left, 0)])
    stop = np.ceil([np.minimum(-bottom, height), np.minimum(right, width)])
    return np.flatnonzero(near), np.concatenate([first, stop]).astype(np.intp)


def _cells_of(boxes: NDArray[np.intp]) -> int:
    top, left, bottom, right = boxes
    return int(((bottom - top) * (right - left)).sum())


def _frame(boxes: NDArray[np.intp]) -> Window:
    top, left = boxes[:2].min(axis=1).tolist()
    bottom, right = boxes[2:].max(axis=1).tolist()
    return Window(top, left, bottom - top, right - left)


class _Cells(RasterSource):  # type: ignore[misc]
    """A part of a raster in pixels: x is the column, y minus the row.

    Polygons are brought into pixels too, so that the raster may be rotated or south-up.

    Args:
        source: the raster.
        area: the part.
    """

    def __init__(self, source: WindowSource, area: Window) -> None:
        super().__init__()
        self.source, self.area = source, area

    def res(self) -> tuple[float, float]:
        return 1.0, 1.0

    def extent(self) -> tuple[float, float, float, float]:
        bottom, right = self.area.stop
        return float(self.area.col), -float(bottom), float(right), -float(self.area.row)

    def nodata_value(self) -> None:
        return None

    def srs_wkt(self) -> None:
        return None

    def read_window(self, x0: int, y0: int, nx: int, ny: int) -> Any:
        if nx == 0 or ny == 0:
            return np.zeros((ny, nx))
        block = self.source.read(Window(self.area.row + y0, self.area.col + x0, ny, nx))
        return np.where(block.valid, block.pixels[0].astype(np.float64), np.nan)


class _Zone(Feature):  # type: ignore[misc]
    """A polygon and its position in the batch."""

    def __init__(self, wkb: bytes, position: int) -> None:
        super().__init__()
        self.wkb, self.position = wkb, position

    def geometry(self) -> bytes:
        return self.wkb

    def get(self, _name: str) -> int:
        return self.position

    def fields(self) -> list[str]:
        return ["i"]


class _Zones(FeatureSource):  # type: ignore[misc]
    def __init__(self, geometries: NDArray[Any]) -> None:
        super().__init__()
        self.wkb = shapely.to_wkb(geometries)

    def count(self) -> int:
        return len(self.wkb)

    def __iter__(self) -> Iterator[_Zone]:
        return (_Zone(wkb, position) for position, wkb in enumerate(self.wkb))

    def srs_wkt(self) -> None:
        return None
