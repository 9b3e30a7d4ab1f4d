"""`geoseg info` on polygon layers: facts and problems."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import geopandas
import pytest
import shapely
from info_entries import codes, look, message

SQUARE = [[15.0, 45.0], [15.01, 45.0], [15.01, 45.01], [15.0, 45.01], [15.0, 45.0]]


def geojson(path: Path, *geometries: Any, **more: Any) -> Path:
    features = [{"type": "Feature", "properties": {}, "geometry": each} for each in geometries]
    path.write_text(json.dumps({"type": "FeatureCollection", "features": features, **more}))
    return path


def polygon(ring: list[list[float]]) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": [ring]}


def test_layers_of_a_geopackage_are_listed_and_the_choice_is_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    frame = geopandas.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
    for layer in ("fields", "roads"):
        frame.to_file(path, layer=layer)
    entry = look(path)
    assert (entry["kind"], entry["driver"]) == ("vector", "GPKG")
    assert [layer["name"] for layer in entry["layers"]] == ["fields", "roads"]
    assert entry["layers"][0]["columns"] == ["kind"]
    assert entry["layers"][0]["geometry_types"] == {"Polygon": 1}
    assert codes(entry) == {"several-layers"}


def test_geojson_in_metres_is_found(tmp_path: Path) -> None:
    ring = [[5e5, 5e6], [500009, 5e6], [5e5, 5000009], [5e5, 5e6]]
    entry = look(geojson(tmp_path / "utm.geojson", polygon(ring)))
    assert entry["crs"] == "EPSG:4326"
    assert "500000, 5000000 to 500009, 5000009" in message(entry, "not-lonlat")


def test_broken_geometries_are_counted_with_their_features(tmp_path: Path) -> None:
    bow = [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]
    path = geojson(tmp_path / "a.geojson", polygon(SQUARE), polygon(bow), None)
    entry = look(path)
    assert codes(entry) == {"invalid-geometry", "null-geometry"}
    assert message(entry, "invalid-geometry").startswith("layer a: 1 of 3 features are not valid")
    assert message(entry, "null-geometry").endswith("feature 2")


def test_points_lines_and_mixtures_are_no_labels(tmp_path: Path) -> None:
    point = {"type": "Point", "coordinates": [15, 45]}
    line = {"type": "LineString", "coordinates": SQUARE}
    assert codes(look(geojson(tmp_path / "a.geojson", point))) == {"no-polygons"}
    assert codes(look(geojson(tmp_path / "b.geojson", polygon(SQUARE), line))) == {"mixed-geometry"}
    assert codes(look(geojson(tmp_path / "c.geojson"))) == {"empty"}


def test_a_layer_without_a_crs_or_with_an_unknown_one_is_reported(tmp_path: Path) -> None:
    path = tmp_path / "nocrs.fgb"
    with pytest.warns(UserWarning, match="crs"):
        geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.box(0, 0, 1, 1)]).to_file(path)
    assert "no-crs" in codes(look(path))
    crs = {"type": "name", "properties": {"name": "EPSG:999999"}}
    entry = look(geojson(tmp_path / "odd.geojson", polygon(SQUARE), crs=crs))
    assert "EPSG:999999" in message(entry, "unusable")


def test_geoparquet_is_described(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame({"kind": ["a"]}, geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
    frame.to_parquet(tmp_path / "labels.parquet")
    entry = look(tmp_path / "labels.parquet")
    assert (entry["driver"], entry["crs"], entry["problems"]) == ("Parquet", "EPSG:32633", [])
    assert entry["layers"][0]["features"] == 1
