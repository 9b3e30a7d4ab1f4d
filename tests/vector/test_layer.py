"""Polygon layers: every format that geoseg writes, it reads again; other files are refused."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
import shapely
from affine import Affine
from small_scene import MakeRaster

import geoseg
from geoseg.classes import ClassScheme
from geoseg.errors import UnsafeError, VectorError
from geoseg.vector import read_polygons, write_polygons
from geoseg.vector.layer import open_layer
from geoseg.vector.polygon_formats import check_driver

SCHEME = ClassScheme.model_validate(
    {
        "column": "class_id",
        "classes": [
            {"name": "land", "color": "#ffffff", "values": [0]},
            {"name": "water", "color": "#2b83ba", "values": [1]},
        ],
    }
)
SQUARE = [[15.0, 45.0], [15.01, 45.0], [15.01, 45.01], [15.0, 45.01], [15.0, 45.0]]
SUFFIXES = (".gpkg", ".geojson", ".geojsonl", ".ndjson", ".fgb", ".parquet")


def feature(number: Any = 1, ring: Any = SQUARE) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    return {"type": "Feature", "properties": {"class_id": number}, "geometry": geometry}


@pytest.mark.parametrize("count", [1, 5])
@pytest.mark.parametrize("suffix", SUFFIXES)
def test_what_is_written_is_read_again(tmp_path: Path, suffix: str, count: int) -> None:
    squares = [shapely.box(5e5 + 90 * i, 5e6, 5e5 + 90 * i + 90, 5e6 + 60) for i in range(count)]
    ids = [i % 2 for i in range(count)]
    frame = geopandas.GeoDataFrame({"class_id": ids}, geometry=squares, crs=32633)
    path = tmp_path / f"land{suffix}"
    write_polygons(frame, path, layer="land", qml="<qgis/>")
    again = read_polygons(path, SCHEME, crs="EPSG:32633")
    order = np.argsort(shapely.bounds(again.geometries)[:, 0])
    assert again.ids[order].tolist() == ids
    moved = shapely.hausdorff_distance(again.geometries[order], squares)
    assert moved.max() < 0.02
    (entry,) = geoseg.info([path])
    levels = {problem["level"] for problem in entry["problems"]}
    assert entry["kind"] == "vector" and "error" not in levels


@pytest.mark.parametrize("start", ["", "\x1e"], ids=["by line", "RFC 8142"])
@pytest.mark.parametrize("name", ["a.geojsonl", "a.geojsons", "a.ndjson", "a.json", "a.txt"])
def test_features_line_by_line_are_known_by_their_content(
    tmp_path: Path, start: str, name: str
) -> None:
    path = tmp_path / name
    path.write_text("".join(f"{start}{json.dumps(feature(i))}\n" for i in (1, 0, 1)))
    assert read_polygons(path, SCHEME, crs="OGC:CRS84").ids.tolist() == [1, 0, 1]


def test_a_coordinate_that_is_no_number_is_found_in_any_line(tmp_path: Path) -> None:
    broken = feature(0, [[15.0, 45.0], [float("nan"), 45.0], [15.01, 45.01], [15.0, 45.0]])
    path = tmp_path / "a.geojsonl"
    path.write_text("".join(f"{json.dumps(each)}\n" for each in (feature(), broken)))
    with pytest.raises(VectorError, match="1 feature.* not a number; got feature 1"):
        read_polygons(path, SCHEME, crs="OGC:CRS84")


def test_a_line_that_makes_gdal_open_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.geojsonl"
    path.write_text(f"{json.dumps(feature('<OGRVRTDataSource'))}\n" * 2)
    with pytest.raises(UnsafeError, match="open or run something else"):
        read_polygons(path, SCHEME, crs="OGC:CRS84")


def test_polygons_by_line_are_evaluated(tmp_path: Path, make_raster: MakeRaster) -> None:
    truth = tmp_path / "truth.geojsonl"
    truth.write_text("".join(f"{json.dumps(feature(i))}\n" for i in (1, 1)))
    classes = tmp_path / "classes.yaml"
    classes.write_text(
        "column: class_id\nclasses:\n  - {name: land, color: '#ffffff', values: [0]}\n"
        "  - {name: water, color: '#0000ff', values: [1]}\n"
    )

    scene = make_raster(
        tmp_path / "scene.tif",
        np.ones((1, 10, 12), np.uint8),
        crs="EPSG:4326",
        transform=Affine(1e-3, 0, 15, 0, -1e-3, 45.01),
    )
    options = geoseg.EvaluateOptions(classes=classes, like=scene)
    report = geoseg.evaluate(truth, str(truth), options=options)
    assert report["overall_accuracy"] == 1.0 and report["n_pixels"] == 100


def test_a_file_that_gdal_opens_with_another_driver_is_refused() -> None:
    check_driver(Path("l.geojsonl"), "GeoJSONSeq", "GeoJSON")
    with pytest.raises(UnsafeError, match="opens with another driver.*got CSV; wanted GeoJSON"):
        check_driver(Path("l.geojson"), "CSV", "GeoJSON")


def test_a_parquet_file_without_geometries_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pyarrow.parquet.write_table(pyarrow.table({"a": [1]}), path)
    with pytest.raises(VectorError, match="no GeoParquet"):
        open_layer(path, None)


def test_a_database_that_is_no_geopackage_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "notes.gpkg"
    with closing(sqlite3.connect(path)) as database:
        database.execute("create table notes (text)")
        database.commit()
    with pytest.raises(VectorError, match="is a database, but no GeoPackage"):
        open_layer(path, None)
