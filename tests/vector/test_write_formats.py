"""Polygon layers as GeoJSON, GeoPackage and other formats."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import geopandas
import numpy as np
import pyogrio
import pytest
import shapely
from polygon_layers import UTM, scheme

from geoseg.errors import OutputError
from geoseg.vector import read_polygons, write_polygons


def some_frame() -> geopandas.GeoDataFrame:
    ring = shapely.Polygon(
        [(0, 0), (0, 9), (9, 9), (9, 0)], holes=[[(3, 3), (6, 3), (6, 6), (3, 6)]]
    )
    shapes = [shapely.affinity.translate(ring, 465000 + 9 * i, 5080000) for i in range(3)]
    columns = {"class_id": [0, 1, 1], "class_name": ["a", "b", "b"]}
    return geopandas.GeoDataFrame(columns, geometry=shapes, crs=32633)


def test_geojson_is_wgs84_with_outer_rings_counter_clockwise_and_no_crs(tmp_path: Path) -> None:
    path = tmp_path / "out.geojson"
    write_polygons(some_frame(), path, layer="out", qml="")
    content = json.loads(path.read_text(encoding="utf-8"))
    assert "crs" not in content and len(content["features"]) == 3
    for feature in content["features"]:
        outer, hole = feature["geometry"]["coordinates"]
        assert shapely.LinearRing(outer).is_ccw and not shapely.LinearRing(hole).is_ccw
        lon, lat = np.transpose(outer)
        assert 14.5 < lon.min() < lon.max() < 14.6 and 45.8 < lat.min() < lat.max() < 45.9
        assert np.array_equal(np.round(outer, 7), outer)


def test_geopackage_carries_the_style_as_qgis_looks_it_up(tmp_path: Path) -> None:
    path = tmp_path / "out.gpkg"
    write_polygons(some_frame(), path, layer="landcover", qml="<qgis/>")
    with sqlite3.connect(path) as database:
        row = database.execute(
            "SELECT f_table_schema, f_table_name, f_geometry_column, useAsDefault, styleQML"
            " FROM layer_styles"
        ).fetchall()
        contents = dict(database.execute("SELECT table_name, data_type FROM gpkg_contents"))
        geometry = database.execute(
            "SELECT table_name, column_name, geometry_type_name FROM gpkg_geometry_columns"
        ).fetchall()
        columns = [each[1] for each in database.execute("PRAGMA table_info(layer_styles)")]
    database.close()
    assert row == [("", "landcover", "geom", 1, "<qgis/>")]
    assert contents == {"landcover": "features", "layer_styles": "attributes"}
    assert geometry == [("landcover", "geom", "MULTIPOLYGON")]
    assert columns == [
        "id", "f_table_catalog", "f_table_schema", "f_table_name", "f_geometry_column", "styleName",
        "styleQML", "styleSLD", "useAsDefault", "description", "owner", "ui", "update_time",
    ]  # fmt: skip
    assert pyogrio.read_info(path, layer="landcover")["capabilities"]["fast_spatial_filter"]


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".parquet"])
def test_the_same_polygons_give_the_same_bytes_and_come_back(tmp_path: Path, suffix: str) -> None:
    one, other = tmp_path / f"a{suffix}", tmp_path / f"b{suffix}"
    for path in (one, other):
        write_polygons(some_frame(), path, layer="out", qml="<qgis/>")
    assert one.read_bytes() == other.read_bytes()
    known = scheme("a", "b", column="class_name")
    found = read_polygons(one, known, crs=UTM)
    assert sorted(found.ids.tolist()) == [0, 1, 1]
    assert shapely.area(found.geometries).tolist() == pytest.approx([72] * 3, rel=0.01)
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"a{suffix}", f"b{suffix}"]


def test_an_extension_without_a_format_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.kml.*call it out\.gpkg"):
        write_polygons(some_frame(), tmp_path / "out.kml", layer="out", qml="")
