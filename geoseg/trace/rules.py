"""How regions become polygons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from geoseg.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Visvalingam:
    """Drop corners in the order of the area they span with their neighbours.

    Attributes:
        area_m2: corners whose triangle is smaller than this go.
    """

    area_m2: float


@dataclass(frozen=True, slots=True)
class DouglasPeucker:
    """Drop corners near the line that is left.

    Attributes:
        distance_m: how far the line may come to lie from a corner that went.
    """

    distance_m: float


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
        ConfigError: a number is negative, or the connectivity neither 4 nor 8.

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
            if getattr(self, name) < 0:
                raise ConfigError(f"{name} is negative", got=getattr(self, name))
        if self.split_at is not None and self.split_at <= 0:
            raise ConfigError("split_at is not a length", got=self.split_at, wanted="more than 0")
