"""How regions become polygons."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite
from typing import Literal

from geoseg.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Visvalingam:
    """Drop corners in the order of the area they span with their neighbours.

    Attributes:
        area_m2: corners whose triangle is smaller than this go.
    """

    area_m2: float

    def __post_init__(self) -> None:
        _check("area_m2", self.area_m2)


@dataclass(frozen=True, slots=True)
class DouglasPeucker:
    """Drop corners near the line that is left.

    Attributes:
        distance_m: how far the line may come to lie from a corner that went.
    """

    distance_m: float

    def __post_init__(self) -> None:
        _check("distance_m", self.distance_m)


@dataclass(frozen=True, slots=True)
class Rules:
    """How regions become polygons; the default keeps every pixel edge as it is.

    Attributes:
        connectivity: 4 to join pixels over their sides, 8 also over their corners; 8 gives
            MultiPolygons where regions touch themselves in a corner only.
        min_area_m2: regions smaller than this join the neighbour they share most boundary with.
        max_hole_m2: regions, or groups of them, that lie within one region join it if smaller.
        simplify: how boundaries lose corners, each once for both its sides.
        smooth: how often corners are cut.
        split_at: polygons are cut where their CRS's coordinates are multiples of this.

    Raises:
        ConfigError: a number is negative, infinite or NaN, or the connectivity neither 4 nor 8.

    Example:
        >>> Rules(min_area_m2=400, simplify=DouglasPeucker(5)).connectivity
        4
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
                raise ConfigError("split_at is no length", got=0, wanted="more than 0, or None")


def _check(name: str, value: float) -> None:
    """Refuse what measures nothing: NaN compares with nothing, so it would drop every corner."""
    if not (isfinite(value) and value >= 0):
        raise ConfigError(f"{name} is no size", got=value, wanted="a finite number, 0 or more")
