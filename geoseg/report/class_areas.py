"""How much ground each class has."""

from __future__ import annotations

import logging
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg import grid, ground
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.raster import RasterSource
from geoseg.report.subject import Subject

logger = logging.getLogger(__name__)
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
    """Pixels of each class and their area.

    Pixels are those that the run counted, where they are all of one size; else every pixel is
    read, as sizes differ: in degrees, they get smaller towards the poles.
    """
    source, scheme = subject.classes, subject.scheme
    if source is None:
        return None
    count = len(scheme.classes)
    counts, area_m2 = _measured(source, count, _said(subject))
    total = counts[:count].sum()
    rows = tuple(
        ClassArea(each.name, each.color, int(pixels), float(pixels / total) if total else np.nan, a)
        for each, pixels, a in zip(scheme.classes, counts, area_m2.tolist(), strict=False)
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


def _measured(
    source: RasterSource, classes: int, counted: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Pixels by value, and the area of each class; NaN without a ground.

    Args:
        source: the classes.
        classes: how many there are.
        counted: pixels by value, where they are known.
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
