"""What a layer of a vector file states about itself, and its geometries as they are stored."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.vector.geoparquet import Bounds
from geoseg.vector.layer import open_layer
from geoseg.vector.layer_errors import named_errors
from geoseg.vector.polygon_formats import check_driver

MAX_FEATURES = 50_000
"""Features read unless all are asked for: about a second for those of a cadastre."""
BROKEN = shapely.GeometryCollection()
"""Replaces geometries that cannot be decoded, so that they differ from missing ones."""


@dataclass(frozen=True)
class LayerFacts:
    """The facts of a layer.

    Attributes:
        name: the layer.
        crs: an authority code such as EPSG:4326, else as the file has it; None if it has none.
        crs_name: the CRS's name; None if pyproj does not know it.
        features: number of features.
        bounds: (left, bottom, right, top), if known.
        columns: names of its attributes.
        geometry_types: number of geometries read by type, such as Polygon.
        looked_at: number of features read.
    """

    name: str
    crs: str | None
    crs_name: str | None
    features: int
    bounds: Bounds | None
    columns: tuple[str, ...]
    geometry_types: Mapping[str, int]
    looked_at: int


def read_layer(
    path: Path, driver: str, name: str | None, *, deep: bool
) -> tuple[LayerFacts, NDArray[Any]]:
    """Read the facts and the geometries of a layer, whether or not labels could be made of it.

    Args:
        path: the file.
        driver: the driver that opens it.
        name: the layer; None in a GeoParquet file.
        deep: read all features instead of the first `MAX_FEATURES`.

    Returns:
        The facts, and (n,) geometries: None where a feature has none, `BROKEN` where it cannot be
        decoded.

    Raises:
        VectorError: the layer cannot be read; a GeoParquet file that labels cannot be read from.
        UnsafeError: GDAL opens the file with another driver.
    """
    if driver == "Parquet":
        return _read_parquet(path)
    with named_errors(path):
        info = pyogrio.read_info(
            str(path), layer=name, force_feature_count=True, force_total_bounds=True
        )
    check_driver(path, info["driver"], driver)
    with named_errors(path):
        stored = pyogrio.raw.read(
            str(path), layer=name, columns=[], max_features=None if deep else MAX_FEATURES
        )[2]
    geometries = _decoded(stored)
    bounds = info["total_bounds"]
    facts = LayerFacts(
        name=info["layer_name"],
        **_crs_facts(info["crs"]),
        features=int(info["features"]),
        bounds=None if bounds is None else tuple(bounds),
        columns=tuple(str(field) for field in info["fields"]),
        geometry_types=_types(geometries),
        looked_at=len(geometries),
    )
    return facts, geometries


def may_have_curves(path: Path, driver: str, name: str | None) -> bool:
    """Whether a GeoPackage declares curves for a layer; GDAL straightens them when it reads."""
    if driver != "GPKG":
        return False
    query = "select geometry_type_name from gpkg_geometry_columns where table_name = ?"
    # immutable: no lock, and no -wal or -shm file is made beside a file that is only looked at
    link = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        found = link.execute(query, (name,)).fetchone()
    except sqlite3.Error:
        return False
    finally:
        link.close()
    return found is not None and any(mark in json.dumps(found) for mark in ("CURVE", "SURFACE"))


def _read_parquet(path: Path) -> tuple[LayerFacts, NDArray[Any]]:
    found = open_layer(path, None)
    _, geometries, _ = found.read(None, None)
    facts = LayerFacts(
        name=path.stem,
        **_crs_facts(found.crs.to_string()),
        features=found.features,
        bounds=found.bounds,
        columns=found.fields,
        geometry_types=_types(geometries),
        looked_at=len(geometries),
    )
    return facts, geometries


def _decoded(stored: NDArray[Any]) -> NDArray[Any]:
    with np.errstate(invalid="ignore"):
        geometries: NDArray[Any] = shapely.from_wkb(stored, on_invalid="ignore")
    broken = np.array(
        [bool(w) and g is None for w, g in zip(stored, geometries, strict=True)], bool
    )
    geometries[broken] = BROKEN
    return geometries


def _crs_facts(text: str | None) -> dict[str, str | None]:
    if not text:
        return {"crs": None, "crs_name": None}
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError:
        return {"crs": text, "crs_name": None}
    code = crs.to_authority()
    return {"crs": ":".join(code) if code else crs.to_wkt(), "crs_name": crs.name}


def _types(geometries: NDArray[Any]) -> dict[str, int]:
    present = [each for each in geometries if each is not None and each is not BROKEN]
    return dict(Counter(each.geom_type for each in present).most_common())
