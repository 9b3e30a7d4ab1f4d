"""A source on another grid; nothing else in geoseg resamples pixels."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from geoseg import grid
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, Pixels, RasterSource, paste
from geoseg.remote import Place

type Method = Literal["nearest", "bilinear", "cubic", "average", "mode"]

logger = logging.getLogger(__name__)
KERNEL_PX = {"nearest": 1, "bilinear": 2, "cubic": 3, "average": 2, "mode": 2}
"""Radius of GDAL's kernels in source pixels, and one to spare."""


@dataclass(frozen=True)
class WarpSource:
    """A source warped to another grid.

    Attributes:
        source: the source to warp.
        geobox: the grid to warp to.
        method: "bilinear", "cubic" or "average" for imagery; "nearest" or "mode" for classes.
    """

    source: RasterSource
    geobox: GeoBox
    method: Method

    @property
    def name(self) -> str:
        """The source's name."""
        return self.source.name

    @property
    def bands(self) -> tuple[Band, ...]:
        """The source's bands."""
        return self.source.bands

    @property
    def dtype(self) -> np.dtype[Any]:
        """The source's dtype."""
        return self.source.dtype

    @property
    def paths(self) -> tuple[Place, ...]:
        """The source's files."""
        return self.source.paths

    def take(self, positions: tuple[int, ...]) -> WarpSource:
        """The same grid with only these bands."""
        return replace(self, source=self.source.take(positions))

    def read(self, window: Window) -> Block:
        """Read a window of the new grid.

        A pixel is valid where the source pixel under its centre is valid. Invalid pixels around
        that one have no weight. Pixels outside the new grid are not valid.

        Raises:
            RasterError: the source cannot be read.
        """
        at = window.intersect(grid.whole(self.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        target = grid.crop(self.geobox, at)
        block = self.source.read(self._seen(target))
        pixels = _warp(block, target, self.method, self._scales)
        valid = np.isfinite(pixels).all(axis=0)
        pixels[:, ~valid] = 0
        if np.issubdtype(self.dtype, np.integer):
            limits = np.iinfo(self.dtype)
            pixels = np.rint(pixels).clip(limits.min, limits.max)  # cubic overshoots at edges
        return paste(Block(pixels.astype(self.dtype), valid, target), window, self, at)

    @cached_property
    def _scales(self) -> tuple[float, float]:
        """Target pixels per source column and row, at the source's centre.

        GDAL sizes its kernels by these (warp options XSCALE and YSCALE). By default it derives
        them from the shape of each window, and reading in pieces would differ from reading at
        once.
        """
        height, width = self.source.geobox.shape
        cols = np.array([width / 2, width / 2 + 1, width / 2])
        rows = np.array([height / 2, height / 2, height / 2 + 1])
        xs, ys = _project(cols, rows, self.source.geobox, self.geobox)
        steps = np.hypot(xs[1:] - xs[0], ys[1:] - ys[0])
        return float(steps[0]), float(steps[1])

    def _seen(self, target: GeoBox) -> Window:
        """The source window that the kernel touches for ``target``; it may reach outside."""
        source = self.source.geobox
        cols, rows = _outline(target, source)
        zoom = max(1.0, np.ptp(cols) / target.shape[1], np.ptp(rows) / target.shape[0])
        margin = int(np.ceil(KERNEL_PX[self.method] * zoom)) + 1
        row, col = int(np.floor(rows.min())) - margin, int(np.floor(cols.min())) - margin
        height = int(np.ceil(rows.max())) + margin - row
        width = int(np.ceil(cols.max())) + margin - col
        return Window(row, col, height, width)


def on_grid(source: RasterSource, geobox: GeoBox, method: Method) -> RasterSource:
    """Warp a source to a grid, unless it is on that grid already; warping is logged."""
    misfit = grid.misfit(geobox, source.geobox)
    if misfit is None:
        return source
    logger.info("%s is warped with %s: %s", source.name, method, misfit)
    return WarpSource(source, geobox, method)


def _outline(target: GeoBox, source: GeoBox) -> NDArray[np.float64]:
    """Columns and rows on ``source`` of points all around ``target``, (2, points)."""
    height, width = target.shape
    along, ends = np.linspace(0, 1, 65), np.repeat([0.0, 1.0], 65)
    cols = np.concatenate([np.tile(along, 2), ends]) * width
    rows = np.concatenate([ends, np.tile(along, 2)]) * height
    return _project(cols, rows, target, source)


def _project(
    cols: NDArray[np.float64], rows: NDArray[np.float64], grid_of: GeoBox, onto: GeoBox
) -> NDArray[np.float64]:
    """Columns and rows on ``onto`` of points given on ``grid_of``, (2, points)."""
    a, b, c, d, e, f = grid_of.affine[:6]
    xs, ys = a * cols + b * rows + c, d * cols + e * rows + f
    if grid_of.crs != onto.crs:
        source, target = grid.crs_of(grid_of).proj, grid.crs_of(onto).proj
        project = Transformer.from_crs(source, target, always_xy=True)
        xs, ys = project.transform(xs, ys, errcheck=True)
    a, b, c, d, e, f = (~onto.affine)[:6]
    return np.stack([a * xs + b * ys + c, d * xs + e * ys + f])


def _warp(block: Block, target: GeoBox, method: Method, scales: tuple[float, float]) -> Pixels:
    """Warp a block as floats with NaN for invalid pixels.

    A tolerance of 0 transforms every pixel by itself. GDAL's default interpolates along rows to
    within an eighth of a pixel, with results that depend on where a window starts.
    """
    # float32 holds all integers of 16 bits.
    kind = np.float32 if block.pixels.dtype.itemsize <= 2 else np.float64
    source = block.pixels.astype(kind)
    source[:, ~block.valid] = np.nan
    warped = np.full((len(source), *target.shape), np.nan, dtype=kind)
    reproject(
        source,
        warped,
        src_transform=block.geobox.affine,
        src_crs=grid.crs_of(block.geobox).to_wkt(),
        src_nodata=np.nan,
        dst_transform=target.affine,
        dst_crs=grid.crs_of(target).to_wkt(),
        dst_nodata=np.nan,
        resampling=Resampling[method],
        tolerance=0.0,
        XSCALE=scales[0],
        YSCALE=scales[1],
    )
    return warped
