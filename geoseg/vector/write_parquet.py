"""GeoParquet 1.1, written row group by row group (https://geoparquet.org/releases/v1.1.0/)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.vector.feature_batches import GEOMETRY, Features, LayerPlan, wkb

BOX = "bbox"
SIDES = ("xmin", "ymin", "xmax", "ymax")
BOX_TYPE = pyarrow.struct([(side, pyarrow.float64()) for side in SIDES])
GROUP_ROWS = 65_536
GROUP_BYTES = 64 << 20
"""Readers skip or fetch whole row groups; batches are gathered until they reach either size."""


def write_parquet(path: Path, batches: Iterable[Features], plan: LayerPlan) -> None:
    """Write a GeoParquet file with a bounding box column, by which readers skip row groups.

    Types and extent of the geometries are known at the end only, so the metadata is written again
    into the footer, where readers look it up; pyarrow's copy of the schema lacks them.
    """
    summary = _Summary(plan.crs)
    fields = pyarrow.field(GEOMETRY, pyarrow.binary()), pyarrow.field(BOX, BOX_TYPE)
    schema = pyarrow.schema([*plan.schema, *fields], {"geo": summary.metadata()})
    rows = (_rows(features, schema, summary) for features in batches)
    with (
        path.open("wb") as stream,
        pyarrow.parquet.ParquetWriter(stream, schema, compression="zstd") as writer,
    ):
        for group in _gathered(rows):
            writer.write_table(pyarrow.Table.from_batches(group), GROUP_ROWS)
        writer.add_key_value_metadata({"geo": summary.metadata()})


class _Summary:
    """The types and the extent of the geometries so far."""

    def __init__(self, crs: pyproj.CRS) -> None:
        self.crs = crs
        self.types: set[str] = set()
        self.low, self.high = np.full(2, np.inf), np.full(2, -np.inf)

    def add(self, geometries: NDArray[Any], bounds: NDArray[np.float64]) -> None:
        self.types |= {each.geom_type for each in _one_of_each(geometries)}
        self.low = np.minimum(self.low, bounds[:, :2].min(axis=0, initial=np.inf))
        self.high = np.maximum(self.high, bounds[:, 2:].max(axis=0, initial=-np.inf))

    def metadata(self) -> str:
        """The file's "geo" entry, without types and extent if there are no geometries."""
        column: dict[str, Any] = {
            "encoding": "WKB",
            "crs": self.crs.to_json_dict(),
            "geometry_types": sorted(self.types),
            "orientation": "counterclockwise",
            "covering": {"bbox": {side: [BOX, side] for side in SIDES}},
        }
        if self.types:
            column["bbox"] = [*self.low.tolist(), *self.high.tolist()]
        return json.dumps(
            {"version": "1.1.0", "primary_column": GEOMETRY, "columns": {GEOMETRY: column}}
        )


def _one_of_each(geometries: NDArray[Any]) -> NDArray[Any]:
    _, first = np.unique(shapely.get_type_id(geometries), return_index=True)
    return geometries[first]


def _rows(features: Features, schema: pyarrow.Schema, summary: _Summary) -> pyarrow.RecordBatch:
    geometries = shapely.orient_polygons(features.geometries)
    bounds = shapely.bounds(geometries)
    summary.add(geometries, bounds)
    boxes = pyarrow.StructArray.from_arrays([*map(pyarrow.array, bounds.T)], SIDES)
    columns = [*features.columns.columns, wkb(geometries), boxes]
    return pyarrow.record_batch(columns, schema)


def _gathered(batches: Iterable[pyarrow.RecordBatch]) -> Iterator[list[pyarrow.RecordBatch]]:
    """Gather batches into groups of the size of a row group."""
    group: list[pyarrow.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        group.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            yield group
            group, rows, size = [], 0, 0
    if group:
        yield group
