"""The polygons of a map for the page: simplified, and no more than a browser can draw."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyogrio
import shapely
from numpy.typing import NDArray

from geoseg.report.mercator_frame import RADIUS_M, Frame
from geoseg.vector.layer_errors import named_errors
from geoseg.vector.reproject import reproject

if TYPE_CHECKING:
    import geopandas as gpd

    from geoseg.vector.layer import Layer

MOST_POLYGONS = 20_000
MOST_BYTES = 2 << 20
TOLERANCES_PX = (1.5, 3.0, 6.0)
"""Tolerances of simplification, tried in turn until all polygons fit; then the smallest go."""
COLUMNS = ("class_id", "area_m2", "confidence")
"""Attributes that the page shows, where the file has them."""
KEYS = ("c", "a", "p")
"""Their keys in the page: each byte of them is repeated for every polygon."""


@dataclass(frozen=True)
class DrawnPolygons:
    """The polygons that the page draws.

    Attributes:
        text: GeoJSON; longitudes continue beyond 180 where the frame does.
        count: number of polygons in it.
        of: number of polygons in the file.
        tolerance_px: tolerance of the simplification, in pixels of the frame.
    """

    text: str
    count: int
    of: int
    tolerance_px: float


def draw_polygons(layer: Layer, frame: Frame) -> DrawnPolygons:
    """Read the largest polygons of a layer and simplify them to the pixels of a frame.

    Neighbours keep their shared edges.

    Args:
        layer: the polygons.
        frame: grid of the page's pictures.

    Raises:
        VectorError: the file cannot be read.
    """
    rows = _largest(layer)
    plane = reproject(np.asarray(rows.geometry.values), layer.crs, frame.crs)
    shown = np.isfinite(shapely.bounds(plane)).all(axis=1)  # poles lie at infinity in Mercator
    rows, plane = rows[shown], plane[shown]
    for tolerance in TOLERANCES_PX:
        features = _features(rows, _simpler(plane, tolerance, frame))
        if len(features) == len(rows):
            break
    return DrawnPolygons(_collection(features), len(features), layer.features, tolerance)


def _simpler(plane: NDArray[Any], tolerance_px: float, frame: Frame) -> NDArray[Any]:
    """Simplify polygons on the plane, and return them in longitude and latitude.

    A corner is removed where the triangle with its neighbours is smaller than the square of the
    tolerance (Visvalingam and Whyatt 1993).
    """
    simple = shapely.coverage_simplify(plane, tolerance_px * frame.resolution_m)
    decimals = _decimals(frame)
    found: NDArray[Any] = shapely.transform(
        simple, lambda points: np.round(frame.lonlat(points), decimals)
    )
    return found


def _largest(layer: Layer) -> gpd.GeoDataFrame:
    """The rows of the largest polygons, the largest first."""
    import geopandas as gpd

    columns = [name for name in COLUMNS if name in layer.fields]
    with named_errors(layer.path):
        if layer.driver == "Parquet":
            rows = gpd.read_parquet(layer.path, columns=[*columns, _geometry(layer)])
        else:
            where = _where(layer) if layer.features > MOST_POLYGONS else None
            rows = pyogrio.read_dataframe(
                layer.path, layer=layer.name, columns=columns, where=where, force_2d=True
            )
    rows = rows[rows.geometry.notna() & ~rows.geometry.is_empty]
    size = rows["area_m2"] if "area_m2" in columns else rows.geometry.area
    order = np.argsort(-np.nan_to_num(np.asarray(size, dtype=float)), kind="stable")
    return rows.iloc[order[:MOST_POLYGONS]]


def _geometry(layer: Layer) -> str:
    import json

    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(layer.path)
    return str(json.loads(schema.metadata[b"geo"])["primary_column"])


def _where(layer: Layer) -> str | None:
    """A filter for the largest polygons, so that the others are never read into memory."""
    if "area_m2" not in layer.fields:
        return None
    *_, (areas,) = pyogrio.raw.read(
        layer.path, layer=layer.name, columns=["area_m2"], read_geometry=False
    )
    least = np.partition(np.nan_to_num(areas), -MOST_POLYGONS)[-MOST_POLYGONS]
    return f"area_m2 >= {float(least)!r}"


def _decimals(frame: Frame) -> int:
    """Decimals of degrees that resolve a quarter of a pixel."""
    step = np.degrees(frame.resolution_m / RADIUS_M) / 4
    return int(np.clip(np.ceil(-np.log10(step)), 4, 9))


def _features(rows: gpd.GeoDataFrame, geometries: NDArray[Any]) -> list[str]:
    """GeoJSON features, from the first, up to `MOST_BYTES`."""
    shapes = shapely.to_geojson(geometries)
    columns = [
        (key, np.asarray(rows[name], dtype=float))
        for key, name in zip(KEYS, COLUMNS, strict=True)
        if name in rows
    ]
    features, room = [], MOST_BYTES
    for i, shape in enumerate(shapes):
        facts = ",".join(f'"{key}":{values[i]:.6g}' for key, values in columns if values[i] >= 0)
        text = f'{{"type":"Feature","id":{i},"properties":{{{facts}}},"geometry":{shape}}}'
        room -= len(text)
        if room < 0:
            break
        features.append(text)
    return features


def _collection(features: list[str]) -> str:
    return f'{{"type":"FeatureCollection","features":[{",".join(features)}]}}'
