"""GeoParquet files: their metadata, and their geometries with one column."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray

from geoseg.errors import VectorError
from geoseg.vector.layer_errors import named_errors
from geoseg.vector.polygon_formats import FORMATS

type Bounds = tuple[float, float, float, float]


@dataclass(frozen=True)
class GeoParquetMetadata:
    """The part of a file's metadata that matters here.

    Attributes:
        fields: names of its attributes.
        crs: PROJJSON, or the name of a CRS; None if the file leaves it undefined.
        features: number of rows.
        bounds: (left, bottom, right, top) of all geometries, if the file states them.
        indexed: whether it has a bounding box column, by which row groups are skipped.
    """

    fields: tuple[str, ...]
    crs: str | None
    features: int
    bounds: Bounds | None
    indexed: bool


def read_metadata(path: Path) -> GeoParquetMetadata:
    """Read the metadata of a GeoParquet file.

    Raises:
        VectorError: the file is broken, or Parquet without geometries.
    """
    import pyarrow.parquet

    with named_errors(path):
        footer = pyarrow.parquet.read_metadata(path)
        schema = footer.schema.to_arrow_schema()
    if b"geo" not in (schema.metadata or {}):
        raise VectorError("is a Parquet file, but no GeoParquet", where=path, wanted=FORMATS)
    geo = json.loads(schema.metadata[b"geo"])
    column = geo["columns"][geo["primary_column"]]
    crs = column.get("crs", "OGC:CRS84")  # the default of the specification
    bounds = column.get("bbox")
    return GeoParquetMetadata(
        fields=tuple(name for name in schema.names if name not in geo["columns"]),
        crs=json.dumps(crs) if isinstance(crs, dict) else crs,
        features=footer.num_rows,
        bounds=tuple(bounds) if len(bounds or ()) == 4 else None,
        indexed="covering" in column,
    )


def read_features(
    path: Path, columns: list[str], bounds: Bounds | None
) -> tuple[NDArray[Any], NDArray[Any], list[Any]]:
    """Read the features that meet ``bounds``, and at most one column of attributes.

    Returns:
        (n,) row numbers, (n,) geometries without z, and n values of the column, or None.

    Raises:
        VectorError: the file cannot be read.
    """
    import geopandas
    import pyarrow.parquet

    geo = json.loads(pyarrow.parquet.read_schema(path).metadata[b"geo"])
    with named_errors(path):
        frame = geopandas.read_parquet(path, columns=[*columns, geo["primary_column"]], bbox=bounds)
    geometries = shapely.force_2d(np.asarray(frame.geometry.values))
    codes = frame[columns[0]].tolist() if columns else [None] * len(frame)
    return np.arange(len(frame)), geometries, codes
