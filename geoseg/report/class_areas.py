"""Area of each class."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj.exceptions import ProjError
from scipy.ndimage import map_coordinates

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.polygonize.metric import metric_of
from geoseg.raster import RasterSource
from geoseg.report.page_content import PageContent
from geoseg.report.pictures import shrunk

GLANCE_PX = 1024
"""Longest side of the picture in which it is looked up where a class lies."""
WINDOW_PX = 2048


@dataclass(frozen=True)
class ClassArea:
    """Area of a class.

    Attributes:
        name: name of the class.
        color: its colour.
        pixels: its pixels.
        share: share of all pixels with a class; NaN without any.
        area_m2: its area; NaN where the CRS is not tied to the ground.
    """

    name: str
    color: str
    pixels: int
    share: float
    area_m2: float


@dataclass(frozen=True)
class Areas:
    """Areas of all classes, and the pixels without one.

    Attributes:
        rows: areas by class id.
        nothing: pixels without a class.
    """

    rows: tuple[ClassArea, ...]
    nothing: int

    @property
    def pixels(self) -> int:
        """Pixels with a class."""
        return sum(row.pixels for row in self.rows)

    @property
    def area_m2(self) -> float:
        """Area of all classes together."""
        return sum(row.area_m2 for row in self.rows)

    @property
    def observed(self) -> float:
        """Share of the map's pixels that have a class."""
        return self.pixels / max(self.pixels + self.nothing, 1)


def areas_of(content: PageContent) -> Areas | None:
    """Pixels as the run has counted them, or else counted now, and their areas.

    The area of a class is its number of pixels times the mean size of such pixels, which is
    looked up where the class lies: in degrees, pixels get smaller towards the poles.
    """
    source, scheme = content.classes, content.scheme
    if source is None:
        return None
    counted = _recorded(content)
    counts = _counted(source) if counted is None else counted
    sizes = _sizes_m2(source, len(scheme.classes))
    total = counts[: len(scheme.classes)].sum()
    rows = tuple(
        ClassArea(each.name, each.color, int(count), float(count / total) if total else np.nan, a)
        for each, count, a in zip(
            scheme.classes, counts, (counts[: len(sizes)] * sizes), strict=False
        )
    )
    return Areas(rows, int(counts.sum() - total))


def _recorded(content: PageContent) -> NDArray[np.int64] | None:
    """Pixels by value, as the record has them."""
    counts = content.record.counts if content.record else {}
    pixels = counts.get("pixels")
    if not isinstance(pixels, dict) or set(pixels) != set(content.scheme.names):
        return None
    found = np.zeros(256, np.int64)
    found[: len(pixels)] = [pixels[name] for name in content.scheme.names]
    found[IGNORE] += counts.get("nodata_pixels", 0)
    return found


def _counted(source: RasterSource) -> NDArray[np.int64]:
    found = np.zeros(256, np.int64)
    for window in grid.split(grid.whole(source.geobox.shape), WINDOW_PX):
        block = source.read(window)
        ids = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8)
        found += np.bincount(ids.ravel(), minlength=256)
    return found


def _sizes_m2(source: RasterSource, classes: int) -> NDArray[np.float64]:
    """Mean area of the pixels of each class, 0 where a class has none; NaN without a ground."""
    small = shrunk(source, GLANCE_PX)
    try:
        sizes = _pixel_areas(source.geobox, tuple(small.geobox.shape))
    except ProjError:
        return np.full(classes, np.nan)
    block = small.read(grid.whole(small.geobox.shape))
    ids = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8).ravel()
    seen = np.bincount(ids, minlength=256)[:classes]
    total = np.bincount(ids, weights=sizes.ravel(), minlength=256)[:classes]
    everywhere = np.full(classes, sizes.mean())
    return np.divide(total, seen, out=everywhere, where=seen > 0)


def _pixel_areas(geobox: GeoBox, shape: tuple[int, ...]) -> NDArray[np.float64]:
    """Square metres of the geobox's pixels, at (height, width) places spread evenly over it."""
    metric = metric_of(geobox)
    places = np.meshgrid(
        *(np.linspace(0, n - 1, side) for n, side in zip(metric.areas.shape, shape, strict=True)),
        indexing="ij",
    )
    found: NDArray[np.float64] = map_coordinates(metric.areas, places, order=1) * metric.unit_m2
    return found
