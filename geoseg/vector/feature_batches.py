"""Batches of features to write, and the schema, CRS and style of their layer."""

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
"""SQLite, and so a GeoPackage, holds at most a billion bytes in one cell; a vertex takes 16."""


@dataclass(frozen=True, eq=False)
class Features:
    """A batch of polygons with their attributes.

    Attributes:
        geometries: (n,) valid shapely Polygons and MultiPolygons, none empty.
        columns: n rows of attributes.
    """

    geometries: NDArray[Any]
    columns: pyarrow.RecordBatch

    def __post_init__(self) -> None:
        assert len(self.geometries) == self.columns.num_rows, "a row of attributes per polygon"


@dataclass(frozen=True)
class LayerPlan:
    """Name, schema, CRS and style of a layer to write.

    Attributes:
        name: the layer's name, in formats that have layers.
        schema: the attributes.
        crs: the CRS of the coordinates, x before y.
        qml: the QGIS style to store in a GeoPackage.
        sld: the same style for map servers.
    """

    name: str
    schema: pyarrow.Schema
    crs: pyproj.CRS
    qml: str
    sld: str = ""


def wkb(geometries: NDArray[Any]) -> pyarrow.Array:
    """Encode (n,) geometries as a column of well-known binary.

    Raises:
        OutputError: a polygon has more vertices than the formats can hold.
    """
    largest = int(shapely.get_num_coordinates(geometries).max(initial=0))
    if largest > MAX_VERTICES:
        raise OutputError(
            "a polygon is too large for a file",
            got=f"{largest:,} vertices",
            wanted=f"at most {MAX_VERTICES:,}",
            fix="cut large polygons along a mesh with --split-at, or give them fewer vertices "
            "with --simplify",
        )
    return pyarrow.array(shapely.to_wkb(geometries), pyarrow.binary())
