"""Polygons with classes, as read from a layer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS

from geoseg.classes import ClassScheme
from geoseg.errors import VectorError


@dataclass(frozen=True, eq=False)
class Polygons:
    """Polygons with the class of each.

    Attributes:
        geometries: (n,) shapely Polygon or MultiPolygon, valid, in ``crs``.
        ids: (n,) uint8 class ids; 255 for polygons that mean "not labelled".
        scheme: the classes, with their rules for overlaps and pixels.
        crs: the CRS of the coordinates, x before y.
        name: the layer's name in messages.
        skipped: number of features left out or changed, by reason.

    Raises:
        VectorError: not one id per geometry.

    Example:
        >>> scheme = ClassScheme(classes=({"name": "field", "color": "#ffffff", "values": "*"},))
        >>> squares = np.array([shapely.box(0, 0, 10, 10)])
        >>> len(Polygons(squares, np.array([0], np.uint8), scheme, "EPSG:32633").geometries)
        1
    """

    geometries: NDArray[Any]
    ids: NDArray[np.uint8]
    scheme: ClassScheme
    crs: CRS
    name: str = "polygons"
    skipped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        object.__setattr__(self, "crs", CRS(self.crs))
        if self.geometries.shape != self.ids.shape:
            raise VectorError(
                "needs one class id per polygon",
                where=self.name,
                got=f"{self.ids.shape} ids, {self.geometries.shape} polygons",
            )

    @cached_property
    def tree(self) -> shapely.STRtree:
        """The spatial index over the geometries."""
        return shapely.STRtree(self.geometries)
