"""Which regions are kept, and how their outlines are drawn."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from geoseg.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Visvalingam:
    """Simplify by effective area: drop the corner that spans the smallest triangle, and so on.

    Visvalingam and Whyatt 1993, Line generalisation by repeated elimination of points.

    Attributes:
        area_m2: corners whose triangle with their neighbours is smaller are dropped.
    """

    area_m2: float

    def __post_init__(self) -> None:
        _check("area_m2", self.area_m2)


@dataclass(frozen=True, slots=True)
class DouglasPeucker:
    """Simplify by distance: drop corners that lie near the simplified line.

    Douglas and Peucker 1973, Algorithms for the reduction of the number of points required to
    represent a digitized line or its caricature.

    Attributes:
        distance_m: largest distance of a dropped corner from the simplified line.
    """

    distance_m: float

    def __post_init__(self) -> None:
        _check("distance_m", self.distance_m)


@dataclass(frozen=True, slots=True)
class Rules:
    """Which regions are kept, and how their outlines are drawn; by default as in the raster.

    Attributes:
        connectivity: 4 connects pixels over their sides, 8 also over their corners; with 8, regions
            connected by corners alone become MultiPolygons.
        min_area_m2: smaller regions are merged into the neighbour with the longest shared boundary.
        max_hole_m2: smaller holes, whatever number of regions they hold, are filled by the region
            around them.
        simplify: how boundaries are simplified, each once for both its sides.
        smooth: how many times corners are cut (Chaikin 1974).
        split_at: cut polygons where the CRS's coordinates are multiples of this, in CRS units.

    Raises:
        ConfigError: a number is negative, infinite or NaN, ``split_at`` is 0, or the connectivity
            is neither 4 nor 8.

    Example:
        >>> import geoseg
        >>> import numpy as np
        >>> classes = np.zeros((20, 20), np.uint8)
        >>> classes[8:10, 8:10] = 1
        >>> (regions,) = geoseg.trace(classes, rules=geoseg.Rules(connectivity=8, smooth=1))
        >>> regions.values.tolist(), regions.pixels.tolist()
        ([0, 1], [396, 4])
    """

    connectivity: Literal[4, 8] = 4
    min_area_m2: float = 0.0
    max_hole_m2: float = 0.0
    simplify: Visvalingam | DouglasPeucker | None = None
    smooth: int = 0
    split_at: float | None = None

    def __post_init__(self) -> None:
        if self.connectivity not in (4, 8):
            raise ConfigError("connectivity", got=self.connectivity, wanted="4 or 8")
        for name in ("min_area_m2", "max_hole_m2", "smooth"):
            _check(name, getattr(self, name))
        if self.split_at is not None:
            _check("split_at", self.split_at)
            if self.split_at == 0:
                raise ConfigError("split_at must be positive", got=0, wanted="more than 0, or None")


def _check(name: str, value: float) -> None:
    """Refuse NaN above all: every comparison with it is false, so that every corner would go."""
    if not (isfinite(value) and value >= 0):
        raise ConfigError(f"{name} is not a size", got=value, wanted="a finite number, 0 or more")
