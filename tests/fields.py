"""Fields to write: features in UTM, and the plan of their layer."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.vector import Features, LayerPlan

UTM = pyproj.CRS(32633)


SCHEMA = pyarrow.schema(
    [
        ("class_id", pyarrow.int32()),
        ("class_name", pyarrow.string()),
        ("area_m2", pyarrow.float64()),
        ("confidence", pyarrow.float64()),
        ("n_pixels", pyarrow.int64()),
        ("touches_edge", pyarrow.bool_()),
    ]
)


RING = shapely.Polygon([(0, 0), (0, 9), (9, 9), (9, 0)], holes=[[(3, 3), (6, 3), (6, 6), (3, 6)]])


def plan(crs: Any = UTM) -> LayerPlan:
    return LayerPlan("fields", SCHEMA, pyproj.CRS(crs), "<qgis/>")


def shapes(count: int, start: int = 0) -> NDArray[Any]:
    """Rings of 72 m2; every third has a second part of 81 m2 above it."""
    found = np.array([RING] * count, dtype=object)
    pair = shapely.multipolygons([RING, shapely.box(0, 20, 9, 29)])
    found[(start + np.arange(count)) % 3 == 2] = pair
    step = 10.0 * (start + np.arange(count))
    return np.array(
        [
            shapely.affinity.translate(each, 465000 + x % 1000, 5080000 + 40 * (x // 1000))
            for each, x in zip(found, step, strict=True)
        ]
    )


def features(count: int, start: int = 0) -> Features:
    geometries = shapes(count, start)
    number = start + np.arange(count)
    columns = {
        "class_id": pyarrow.array(number % 2, pyarrow.int32()),
        "class_name": pyarrow.array(['Wälder, "a"' if n % 2 else "b" for n in number]),
        "area_m2": pyarrow.array(shapely.area(geometries)),
        "confidence": pyarrow.array(np.full(count, 80.5), mask=number % 4 == 3),
        "n_pixels": pyarrow.array(number + (1 << 40)),
        "touches_edge": pyarrow.array(number % 5 == 0),
    }
    return Features(geometries, pyarrow.RecordBatch.from_pydict(columns))
