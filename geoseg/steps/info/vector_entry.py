"""A vector file: its layers, and everything about them that labels should not have."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.errors import GeosegError, UnsafeError
from geoseg.raster.checks.gdal_messages import quietly
from geoseg.steps.info.entry import Entry, Problem, entry, problem, refusal
from geoseg.vector import layer as layers

MAX_LAYERS = 20
MAX_FEATURES = 50_000
"""Features looked at unless all are asked for."""
FLAT = ("Polygon", "MultiPolygon")


def vector_entry(path: Path, driver: str, *, deep: bool) -> Entry:
    """Describe a vector file that may be opened with ``driver``.

    Raises:
        VectorError: GDAL cannot open it.
        UnsafeError: it makes GDAL open something else.
    """
    with quietly():
        names = [None] if driver == "Parquet" else _names(path)
        looked = [_layer(path, driver, name, deep=deep) for name in names[:MAX_LAYERS]]
    rows = [row for _, each in looked for row in each]
    if len(names) > 1:
        listed = ", ".join(str(name) for name in names[:MAX_LAYERS])
        text = f"it has {len(names)} layers: {listed}"
        rows.append(problem("several-layers", "warning", text, "name one: --layer"))
    if not names:
        rows.append(problem("no-layer", "error", "it has no layer with geometries"))
    if driver == "GPKG" and any(Path(f"{path}{end}").exists() for end in ("-journal", "-wal")):
        text = (
            "changes that are not finished lie beside it: another program has it open, or crashed"
        )
        rows.append(
            problem("journal", "warning", text, "close it there, or open and save it in QGIS")
        )
    found = [each for each, _ in looked]
    only = found[0] if len(found) == 1 else {"crs": None, "crs_name": None}
    return entry(
        path,
        "vector",
        rows,
        driver=driver,
        crs=only["crs"],
        crs_name=only["crs_name"],
        layers=found,
    )


def _names(path: Path) -> list[Any]:
    with layers.named_errors(path):
        found = pyogrio.list_layers(str(path))
    return [str(name) for name, kind in found if kind is not None]


def _layer(
    path: Path, driver: str, name: str | None, *, deep: bool
) -> tuple[dict[str, Any], list[Problem]]:
    """A layer's facts and problems: what the reader of labels refuses, and what it would repair."""
    refused = None
    try:
        layers.open_layer(path, name)
    except UnsafeError:
        raise
    except GeosegError as error:
        refused = error
    if driver == "Parquet":
        facts, geometries = _parquet(path, refused)
    else:
        facts, geometries = _read(path, driver, name, deep=deep)
    rows = _crs_problems(facts) + _count_problems(facts)
    if geometries is not None:
        facts["geometry_types"] = _types(geometries)
        rows += _geometry_problems(facts, geometries)
        facts["looked_at"] = len(geometries)
    if _declares_curves(path, driver, name):
        text = "its geometries may be curves, which are read as polygons of short lines"
        rows.append(problem("curves", "note", text, "ogr2ogr -nlt CONVERT_TO_LINEAR"))
    if refused and not any(row["level"] == "error" for row in rows):
        rows.append(refusal(refused, path, "unusable"))
    return facts, rows


def _read(
    path: Path, driver: str, name: str | None, *, deep: bool
) -> tuple[dict[str, Any], NDArray[Any]]:
    with layers.named_errors(path):
        found = pyogrio.read_info(
            str(path), layer=name, force_feature_count=True, force_total_bounds=True
        )
    layers.check_driver(path, found["driver"], driver)
    with layers.named_errors(path):
        stored = pyogrio.raw.read(
            str(path), layer=name, columns=[], max_features=None if deep else MAX_FEATURES
        )[2]
    bounds = found["total_bounds"]
    return {
        **_crs_facts(found["crs"]),
        "name": found["layer_name"],
        "features": int(found["features"]),
        "bounds": None if bounds is None else list(bounds),
        "columns": [str(field) for field in found["fields"]],
        "geometry_types": {},
    }, _decoded(stored)


def _parquet(path: Path, refused: GeosegError | None) -> tuple[dict[str, Any], NDArray[Any] | None]:
    """GeoParquet is read by what reads its labels; where that refuses, nothing more is known."""
    if refused is not None:
        raise refused
    found = layers.open_layer(path, None)
    _, geometries, _ = found.read(None, None)
    return {
        **_crs_facts(found.crs.to_string()),
        "name": path.stem,
        "features": found.features,
        "bounds": None if found.bounds is None else list(found.bounds),
        "columns": list(found.fields),
        "geometry_types": {},
    }, geometries


def _decoded(stored: NDArray[Any]) -> NDArray[Any]:
    """Geometries; what cannot be decoded becomes an empty collection, so that it is counted."""
    with np.errstate(invalid="ignore"):
        geometries: NDArray[Any] = shapely.from_wkb(stored, on_invalid="ignore")
    broken = np.array(
        [bool(w) and g is None for w, g in zip(stored, geometries, strict=True)], bool
    )
    geometries[broken] = BROKEN
    return geometries


BROKEN = shapely.GeometryCollection()


def _crs_facts(text: str | None) -> dict[str, str | None]:
    if not text:
        return {"crs": None, "crs_name": None}
    try:
        crs = pyproj.CRS.from_user_input(text)
    except pyproj.exceptions.CRSError:
        return {"crs": text, "crs_name": None}
    code = crs.to_authority()
    return {"crs": ":".join(code) if code else crs.to_wkt(), "crs_name": crs.name}


def _crs_problems(facts: dict[str, Any]) -> list[Problem]:
    where = _where(facts)
    if facts["crs"] is None:
        fix = "set it: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ..."
        return [problem("no-crs", "error", f"{where}has no CRS", fix)]
    if facts["bounds"] is None or facts["crs_name"] is None:
        return []
    left, bottom, right, top = facts["bounds"]
    degrees = pyproj.CRS.from_user_input(facts["crs"]).is_geographic
    if degrees and (left < -360 or right > 360 or bottom < -90.0001 or top > 90.0001):
        return [
            problem(
                "not-lonlat",
                "error",
                f"{where}is in degrees by its CRS, {facts['crs_name']}, but its coordinates are "
                f"{left:.8g}, {bottom:.8g} to {right:.8g}, {top:.8g}",
                "say what they are: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ...",
            )
        ]
    return []


def _count_problems(facts: dict[str, Any]) -> list[Problem]:
    if facts["features"]:
        return []
    return [problem("empty", "error", f"{_where(facts)}has no features")]


def _types(geometries: NDArray[Any]) -> dict[str, int]:
    present = [each for each in geometries if each is not None and each is not BROKEN]
    return dict(Counter(each.geom_type for each in present).most_common())


def _geometry_problems(facts: dict[str, Any], geometries: NDArray[Any]) -> list[Problem]:
    where, total = _where(facts), len(geometries)
    rows = []
    undecodable = np.array([each is BROKEN for each in geometries], dtype=bool)
    missing = shapely.is_missing(geometries) | (shapely.is_empty(geometries) & ~undecodable)
    present = ~missing & ~undecodable
    invalid = present & ~shapely.is_valid(geometries)
    for code, level, mask, text, fix in (
        ("broken-geometry", "error", undecodable, "cannot be decoded", "repair or delete them"),
        ("null-geometry", "note", missing, "have no geometry; they are left out", None),
        ("invalid-geometry", "note", invalid, "are not valid; they are repaired when read", None),
    ):
        if mask.any():
            first = ", ".join(str(i) for i in np.flatnonzero(mask)[:5])
            found = f"{where}{int(mask.sum())} of {total} features {text}: feature {first}"
            rows.append(problem(code, level, found, fix))  # type: ignore[arg-type]
    return rows + _kind_problems(where, facts["geometry_types"])


def _kind_problems(where: str, kinds: dict[str, int]) -> list[Problem]:
    other = [kind for kind in kinds if kind not in FLAT]
    listed = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    fix = "buffer points and lines to the area they stand for"
    if other and len(other) == len(kinds):
        return [problem("no-polygons", "error", f"{where}has no polygons, but {listed}", fix)]
    if other:
        return [problem("mixed-geometry", "error", f"{where}mixes geometries: {listed}", fix)]
    return []


def _where(facts: dict[str, Any]) -> str:
    return f"layer {facts['name']}: "


def _declares_curves(path: Path, driver: str, name: str | None) -> bool:
    """Whether a GeoPackage's table is one of curves; GDAL straightens them when it reads."""
    if driver != "GPKG":
        return False
    query = "select geometry_type_name from gpkg_geometry_columns where table_name = ?"
    link = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    try:
        found = link.execute(query, (name,)).fetchone()
    except sqlite3.Error:
        return False
    finally:
        link.close()
    return found is not None and any(mark in json.dumps(found) for mark in ("CURVE", "SURFACE"))
