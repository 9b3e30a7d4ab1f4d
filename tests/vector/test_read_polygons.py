"""Polygon layers: read for an area, repaired, counted or refused."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pyogrio
import pyproj
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from polygon_layers import UTM, bounds_of, centres, grid_of, scheme
from small_scene import SCHEME

from geoseg.classes import ClassScheme
from geoseg.errors import ClassError, UnsafeError, VectorError
from geoseg.vector import Polygons, rasterize, read_polygons, write_polygons

SQUARE = [[15.0, 45.0], [15.01, 45.0], [15.01, 45.01], [15.0, 45.01], [15.0, 45.0]]


def features(*properties: dict[str, Any], ring: Any = SQUARE, **members: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    listed = [{"type": "Feature", "properties": p, "geometry": geometry} for p in properties]
    return {"type": "FeatureCollection", "features": listed, **members}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


ANY = ClassScheme.model_validate({"classes": [{"name": "any", "color": "#ffffff", "values": "*"}]})


@pytest.mark.parametrize("suffix", [".gpkg", ".geojson", ".fgb", ".shp", ".parquet"])
def test_every_format_gives_the_polygons_in_the_area_and_counts_the_others(
    tmp_path: Path, suffix: str
) -> None:
    far = shapely.box(16, 46, 16.01, 46.01)
    frame = geopandas.GeoDataFrame(
        {"kind": ["wood", "lake", None], "other": [1, 2, 3]},
        geometry=[shapely.Polygon(SQUARE), far, shapely.Polygon(SQUARE)],
        crs=4326,
    )
    path = tmp_path / f"labels{suffix}"
    frame.to_parquet(path) if suffix == ".parquet" else frame.to_file(path)
    found = read_polygons(
        path,
        scheme("wood", "lake", column="kind"),
        crs="OGC:CRS84",
        bounds=(14.9, 44.9, 15.1, 45.1),
    )
    assert sorted(found.ids.tolist()) == [0, 255]
    assert found.skipped == {"outside the area": 1, "without a code": 1}


def test_labels_in_another_crs_are_where_brute_force_puts_them(tmp_path: Path) -> None:
    geobox = GeoBox((96, 128), Affine(250, 0, 440000, 0, -250, 5000000), UTM)
    x, y = centres(geobox)
    lon, lat = pyproj.Transformer.from_crs(UTM, 4326, always_xy=True).transform(x, y)
    area = shapely.box(14.3, 44.98, 14.6, 45.12)  # its edges are 24 km long: curves in UTM
    path = tmp_path / "labels.gpkg"
    geopandas.GeoDataFrame({"a": [1]}, geometry=[area], crs=4326).to_file(path)
    found = read_polygons(path, ANY, crs=UTM, bounds=bounds_of(geobox))
    assert np.array_equal(rasterize(found, geobox) == 0, shapely.contains_xy(area, lon, lat))


def test_long_edges_stay_within_a_millimetre_of_their_course(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    area = shapely.box(13, 45, 17, 46)
    geopandas.GeoDataFrame({"a": [1]}, geometry=[area], crs=4326).to_file(path)
    found = read_polygons(path, ANY, crs=UTM)
    lon = np.linspace(13, 17, 1001)
    to_utm = pyproj.Transformer.from_crs(4326, UTM, always_xy=True)
    course = shapely.points(np.stack(to_utm.transform(lon, np.full(1001, 45.0)), axis=1))
    assert shapely.distance(found.geometries[0].boundary, course).max() < 0.0015


def test_a_polygon_around_the_world_is_read_for_one_scene(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    geopandas.GeoDataFrame(
        {"a": [1]}, geometry=[shapely.box(-180, -90, 180, 90)], crs=4326
    ).to_file(path)
    geobox = grid_of()
    found = read_polygons(path, ANY, crs=UTM, bounds=bounds_of(geobox))
    assert (rasterize(found, geobox) == 0).all()


def test_a_bow_tie_is_repaired_and_counted(tmp_path: Path) -> None:
    bow = [SQUARE[0], SQUARE[2], SQUARE[1], SQUARE[3], SQUARE[0]]
    path = write_json(tmp_path / "bow.geojson", features({}, ring=bow))
    found = read_polygons(path, ANY, crs="OGC:CRS84")
    assert found.skipped == {"repaired": 1}
    assert shapely.is_valid(found.geometries).all()
    assert found.geometries[0].area == pytest.approx(0.01 * 0.01 / 2)


def test_features_without_geometry_are_left_out_and_counted(tmp_path: Path) -> None:
    content = features({}, {})
    content["features"][1]["geometry"] = None
    path = write_json(tmp_path / "null.geojson", content)
    assert read_polygons(path, ANY, crs=UTM).skipped == {"without a geometry": 1}


def test_polygons_that_are_lines_are_left_out_and_counted(tmp_path: Path) -> None:
    content = features({}, {})
    content["features"][1]["geometry"] = {
        "type": "Polygon",
        "coordinates": [[*SQUARE[:2], *SQUARE[:2], SQUARE[0]]],
    }
    path = write_json(tmp_path / "flat.geojson", content)
    assert read_polygons(path, ANY, crs=UTM).skipped == {"repaired": 1, "without an area": 1}


def test_an_unmapped_code_is_an_error_that_lists_codes_and_counts(tmp_path: Path) -> None:
    content = features(*({"class": code} for code in ("wood", "lake", "lake", "moor")))
    path = write_json(tmp_path / "labels.geojson", content)
    with pytest.raises(ClassError, match=r"2 code.*'lake' \(2 x\), 'moor' \(1 x\)") as caught:
        read_polygons(path, scheme("wood", column="class"), crs=UTM)
    assert str(path) in str(caught.value)


def test_far_polygons_of_a_layer_without_index_are_counted_too(tmp_path: Path) -> None:
    far, near = shapely.box(-120, -30, -119, -29), shapely.Polygon(SQUARE)
    frame = geopandas.GeoDataFrame({"a": [1, 2]}, geometry=[far, near], crs=4326)
    path = tmp_path / "labels.geojson"
    frame.to_file(path)
    found = read_polygons(path, ANY, crs=UTM, bounds=(499000, 4980000, 502000, 4990000))
    assert (len(found.ids), found.skipped) == (1, {"outside the area": 1})


def test_a_layer_without_a_crs_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    geometry = shapely.to_wkb(np.array([shapely.Polygon(SQUARE)]))
    with pytest.warns(UserWarning, match="crs"):
        pyogrio.raw.write(path, geometry, [], [], geometry_type="Polygon", driver="GPKG")
    with pytest.raises(VectorError, match="has no CRS.*-a_srs"):
        read_polygons(path, ANY, crs=UTM)


@pytest.mark.parametrize("codes", [(300,), (-1, 2.7)])
def test_numbers_that_are_no_class_are_errors(tmp_path: Path, codes: tuple[float, ...]) -> None:
    path = write_json(tmp_path / "labels.geojson", features(*({"class": c} for c in codes)))
    with pytest.raises(ClassError, match=f"{len(codes)} code"):
        read_polygons(path, scheme("wood", column="class"), crs=UTM)


def test_a_misspelt_column_brings_the_right_one(tmp_path: Path) -> None:
    path = write_json(tmp_path / "labels.geojson", features({"flood_clas": 1}))
    with pytest.raises(VectorError, match="did you mean 'flood_clas'"):
        read_polygons(path, scheme("wood"), crs=UTM, column="flood_class_id")
    with pytest.raises(VectorError, match="not given.*got flood_clas"):
        read_polygons(path, scheme("wood"), crs=UTM)


def test_swapped_axes_and_distant_labels_are_told_apart(tmp_path: Path) -> None:
    area = (15.0, 45.0, 15.01, 45.01)
    swapped = write_json(tmp_path / "s.geojson", features({}, ring=[p[::-1] for p in SQUARE]))
    with pytest.raises(VectorError, match=r"0 of 1 .*lon, lat 45\.0000, 15\.0000.*swap the axes"):
        read_polygons(swapped, ANY, crs="OGC:CRS84", bounds=area)
    distant = write_json(
        tmp_path / "d.geojson", features({}, ring=[[0, 0], [1, 0], [1, 1], [0, 0]])
    )
    with pytest.raises(VectorError, match="0 of 1 .*belong together"):
        read_polygons(distant, ANY, crs="OGC:CRS84", bounds=area)


NAN_RING = [[float("nan"), 45.0], *SQUARE[1:4], [float("nan"), 45.0]]
UTM_RING = [[5e5, 5e6], [5e5 + 9, 5e6], [5e5, 5e6 + 9], [5e5, 5e6]]
BAD_CRS = {"type": "name", "properties": {"name": "EPSG:999999"}}
POINT = {"type": "Point", "coordinates": [15.0, 45.0]}
POINTS = {"features": [{"type": "Feature", "properties": {}, "geometry": POINT}]}


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is empty"),
        (json.dumps(features({}))[:120], "cannot be read"),
        ("<html></html>", "not a polygon file"),
        (features(), "layer is empty"),
        (features({}, ring=UTM_RING), "no longitudes and latitudes.*a_srs"),
        (features({}, crs=BAD_CRS), "CRS is not known; got EPSG:999999"),
        (features({}, ring=SQUARE[:3]), "not closed.*feature 0"),
        (features({}, {}, ring=NAN_RING), "not a number; got feature 0, 1"),
        (features() | POINTS, "have to be polygons.*buffer"),
        ("{" + '"type": "x", "name": "Fédé"}', "not UTF-8 at byte 24"),
    ],
)
def test_a_geojson_that_cannot_be_used_is_named(tmp_path: Path, content: Any, message: str) -> None:
    path = tmp_path / "labels.geojson"
    text = content if isinstance(content, str) else json.dumps(content)
    path.write_bytes(text.encode("latin1"))
    with pytest.raises(VectorError, match=message) as caught:
        read_polygons(path, ANY, crs=UTM)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("vrt.gpkg", "<OGRVRTDataSource><OGRVRTLayer/></OGRVRTDataSource>"),
        ("alg.geojson", '{"type": "gdal_streamed_alg", "command_line": "gdal vector info"}'),
    ],
)
def test_files_that_make_gdal_open_others_are_refused(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    with pytest.raises(UnsafeError):
        read_polygons(tmp_path / name, ANY, crs=UTM)


@pytest.mark.parametrize("path", ["/vsicurl/http://a.org/l.gpkg", "https://a.org/l.gpkg"])
def test_remote_labels_are_refused(path: str) -> None:
    with pytest.raises(UnsafeError, match="only local files"):
        read_polygons(path, ANY, crs=UTM)


def test_several_layers_have_to_be_told_apart_but_styles_are_none(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    frame = geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Polygon(SQUARE)], crs=4326)
    write_polygons(frame, path, layer="fields", qml="<qgis/>")
    assert len(read_polygons(path, ANY, crs=UTM).ids) == 1
    frame.to_file(path, layer="roads")
    with pytest.raises(VectorError, match="2 layers; got fields, roads.*--layer"):
        read_polygons(path, ANY, crs=UTM)
    with pytest.raises(VectorError, match="did you mean 'roads'"):
        read_polygons(path, ANY, crs=UTM, layer="road")
    assert len(read_polygons(path, ANY, crs=UTM, layer="roads").ids) == 1


def test_the_missing_parts_of_a_shapefile_are_named(tmp_path: Path) -> None:
    path = tmp_path / "labels.shp"
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Polygon(SQUARE)], crs=4326).to_file(path)
    path.with_suffix(".shx").unlink()
    path.with_suffix(".prj").unlink()
    with pytest.raises(VectorError, match=r"not complete; got no labels\.shx, labels\.prj"):
        read_polygons(path, ANY, crs=UTM)


def test_a_geopackage_that_another_program_has_locked_is_read(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    geopandas.GeoDataFrame({"a": [1]}, geometry=[shapely.Polygon(SQUARE)], crs=4326).to_file(path)
    other = sqlite3.connect(path)
    other.execute("BEGIN EXCLUSIVE")
    try:
        assert len(read_polygons(path, ANY, crs=UTM).ids) == 1
    finally:
        other.close()


def test_polygons_need_one_class_id_each() -> None:
    squares = np.array([shapely.box(0, 0, 9, 9), shapely.box(9, 0, 18, 9)])
    with pytest.raises(VectorError, match=r"one class id per polygon; got \(1,\) ids, \(2,\) poly"):
        Polygons(squares, np.array([0], np.uint8), SCHEME, "EPSG:32633")
