"""Area of each class."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg import grid, ground
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.maps.land_map import WINDOW_PX
from geoseg.raster import RasterSource
from geoseg.report.page_content import PageContent

logger = logging.getLogger(__name__)


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
    """Measure the area of each class; None without a map.

    Where all pixels have one size, the counts in the run's record are enough. Elsewhere every
    pixel is read: in degrees, for instance, pixels get smaller towards the poles.
    """
    source, scheme = content.classes, content.scheme
    if source is None:
        return None
    count = len(scheme.classes)
    counts, area_m2 = _measured(source, count, _recorded(content))
    total = counts[:count].sum()
    rows = tuple(
        ClassArea(each.name, each.color, int(pixels), float(pixels / total) if total else np.nan, a)
        for each, pixels, a in zip(scheme.classes, counts, area_m2.tolist(), strict=False)
    )
    return Areas(rows, int(counts.sum() - total))


def _recorded(content: PageContent) -> NDArray[np.int64] | None:
    """(256,) pixels by value, from the run's record; None where it does not fit the classes."""
    counts = content.record.counts if content.record else {}
    pixels = counts.get("pixels")
    if not isinstance(pixels, dict) or set(pixels) != set(content.scheme.names):
        return None
    found = np.zeros(256, np.int64)
    found[: len(pixels)] = [pixels[name] for name in content.scheme.names]
    found[IGNORE] += counts.get("nodata_pixels", 0)
    return found


def _measured(
    source: RasterSource, classes: int, counted: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """(256,) pixels by value, and (classes,) areas; NaN where the CRS is not tied to the ground.

    Args:
        source: class ids.
        classes: number of classes.
        counted: (256,) pixels by value, where they are known.
    """
    geobox = source.geobox
    try:
        size = ground.pixel_area_m2(geobox)
    except GridError as error:
        logger.warning("areas are left out: %s", error)
        size = np.nan
    if counted is not None and size is not None:
        return counted, (counted[:classes] * size).astype(np.float64)
    counts, area_m2 = np.zeros(256, np.int64), np.zeros(classes)
    for window in grid.split(grid.whole(geobox.shape), WINDOW_PX):
        block = source.read(window)
        ids = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8)
        counts += np.bincount(ids.ravel(), minlength=256)
        if size is None:
            sizes = ground.pixel_areas_m2(geobox, window)
            area_m2 += ground.areas_by_value(ids, sizes, classes)
    return counts, area_m2 if size is None else (counts[:classes] * size).astype(np.float64)
