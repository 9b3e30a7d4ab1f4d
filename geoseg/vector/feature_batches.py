"""What polygon layers are written from: batches of features, and what all of them share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.errors import OutputError

GEOMETRY = "geom"
"""The geometry column of every format that names it."""
MAX_VERTICES = 60_000_000
"""SQLite, and so a GeoPackage, holds up to a billion bytes in one place."""


@dataclass(frozen=True, eq=False)
class Features:
    """A batch of polygons with their attributes.

    Attributes:
        geometries: (n,) shapely Polygons and MultiPolygons, valid, none empty.
        columns: n rows of attributes.
    """

    geometries: NDArray[Any]
    columns: pyarrow.RecordBatch

    def __post_init__(self) -> None:
        assert len(self.geometries) == self.columns.num_rows, "a row of attributes per polygon"


@dataclass(frozen=True)
class LayerPlan:
    """What the features of a layer have in common.

    Attributes:
        name: the layer's name, in formats that have layers.
        schema: the attributes.
        crs: of the coordinates, x before y.
        qml: the QGIS style that a GeoPackage carries.
        sld: the same for map servers.
    """

    name: str
    schema: pyarrow.Schema
    crs: pyproj.CRS
    qml: str
    sld: str = ""


def wkb(geometries: NDArray[Any]) -> pyarrow.Array:
    """Geometries as a column of well-known binary.

    Raises:
        OutputError: a polygon is too large for the formats.
    """
    largest = int(shapely.get_num_coordinates(geometries).max(initial=0))
    if largest > MAX_VERTICES:
        raise OutputError(
            "a polygon is too large for a file",
            got=f"{largest:,} vertices",
            wanted=f"at most {MAX_VERTICES:,}",
            fix="cut large polygons along a mesh, with --split-at, or give them fewer vertices, "
            "with --simplify",
        )
    return pyarrow.array(shapely.to_wkb(geometries), pyarrow.binary())
