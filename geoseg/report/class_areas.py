"""How much ground each class has."""

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
from geoseg.report.pictures import shrunk
from geoseg.report.subject import Subject

GLANCE_PX = 1024
"""Longest side of the picture in which it is looked up where a class lies."""
WINDOW_PX = 2048


@dataclass(frozen=True)
class ClassArea:
    """How much of a map a class has.

    Attributes:
        name: of the class.
        color: of the class.
        pixels: how many.
        share: of all pixels with a class; NaN where there are none.
        area_m2: on the ground; NaN where the CRS is not tied to it.
    """

    name: str
    color: str
    pixels: int
    share: float
    area_m2: float


@dataclass(frozen=True)
class Areas:
    """How much of a map each class has, and what has none.

    Attributes:
        rows: by class id.
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
        """Of all classes together."""
        return sum(row.area_m2 for row in self.rows)

    @property
    def observed(self) -> float:
        """Share of the map's pixels that have a class."""
        return self.pixels / max(self.pixels + self.nothing, 1)


def areas_of(subject: Subject) -> Areas | None:
    """Pixels as the run has counted them, or else counted now, and their areas.

    The area of a class is its number of pixels times the mean size of such pixels, which is
    looked up where the class lies: in degrees, pixels get smaller towards the poles.
    """
    source, scheme = subject.classes, subject.scheme
    if source is None:
        return None
    counted = _said(subject)
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


def _said(subject: Subject) -> NDArray[np.int64] | None:
    """Pixels by value, as the record has them."""
    counts = subject.record.counts if subject.record else {}
    pixels = counts.get("pixels")
    if not isinstance(pixels, dict) or set(pixels) != set(subject.scheme.names):
        return None
    found = np.zeros(256, np.int64)
    found[: len(pixels)] = [pixels[name] for name in subject.scheme.names]
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
