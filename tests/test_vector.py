"""Polygon layers: reading, painting onto grids, writing."""

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
import rasterio
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.errors import ClassError, GridError, OutputError, UnsafeError, VectorError
from geoseg.grid import Window
from geoseg.vector import Polygons, rasterize, read_polygons, write_polygons

PAIRS = Path(__file__).parents[2] / "shared" / "data" / "pairs"
UTM = "EPSG:32633"
NORTH_UP = Affine(10.0, 0, 465181.05223, 0, -10.0, 5080254.63349)
SOUTH_UP = Affine(10.0, 0, 465180, 0, 10.0, 5080250)
ROTATED = Affine(8.0, 3.7, 465181.05223, 3.1, -9.3, 5080254.63349)
SQUARE = [[15.0, 45.0], [15.01, 45.0], [15.01, 45.01], [15.0, 45.01], [15.0, 45.0]]


def scheme(*names: str, **options: Any) -> ClassScheme:
    burn = options.pop("burn", "centre")
    classes = [{"name": name, "color": "#336699", "burn": burn} for name in names]
    return ClassScheme.model_validate({"classes": classes, **options})


def polygons(shapes: list[Any], ids: list[int], classes: ClassScheme) -> Polygons:
    return Polygons(np.array(shapes, dtype=object), np.array(ids, np.uint8), classes, CRS(UTM))


def blobs(affine: Affine, count: int, seed: int, step: float | None = None) -> list[Any]:
    """Stars of 5 to 40 corners on a 96 x 128 grid; corners on multiples of ``step`` px."""
    rng = np.random.default_rng(seed)
    shapes: list[Any] = []
    while len(shapes) < count:
        corners = rng.integers(5, 40)
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = rng.uniform(3, 30, corners)
        cols = rng.uniform(0, 128) + radius * np.cos(angle)
        rows = rng.uniform(0, 96) + radius * np.sin(angle)
        if step:
            cols, rows = np.round(cols / step) * step, np.round(rows / step) * step
        shape = shapely.Polygon(np.stack(moved(affine, cols, rows), axis=1))
        if shape.is_valid:
            shapes.append(shape)
    return shapes


def moved(affine: Affine, cols: Any, rows: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        affine.a * cols + affine.b * rows + affine.c,
        affine.d * cols + affine.e * rows + affine.f,
    )


def box(left: float, top: float, right: float, bottom: float) -> Any:
    """A rectangle in pixels of NORTH_UP."""
    return shapely.box(*(NORTH_UP @ (left, bottom)), *(NORTH_UP @ (right, top)))


def bounds_of(geobox: GeoBox) -> tuple[float, float, float, float]:
    found = geobox.boundingbox
    return found.left, found.bottom, found.right, found.top


def grid_of(affine: Affine = NORTH_UP, shape: tuple[int, int] = (96, 128)) -> GeoBox:
    return GeoBox(shape, affine, UTM)


def centres(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cols, rows = np.meshgrid(np.arange(geobox.shape[1]) + 0.5, np.arange(geobox.shape[0]) + 0.5)
    return moved(geobox.affine, cols, rows)


def features(*properties: dict[str, Any], ring: Any = SQUARE, **members: Any) -> dict[str, Any]:
    geometry = {"type": "Polygon", "coordinates": [ring]}
    listed = [{"type": "Feature", "properties": p, "geometry": geometry} for p in properties]
    return {"type": "FeatureCollection", "features": listed, **members}


def write_json(path: Path, content: Any) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


ANY = ClassScheme.model_validate({"classes": [{"name": "any", "color": "#ffffff", "values": "*"}]})


# ---- rasterize ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("labels", "raster", "column"),
    [
        ("landsat7_chiapas/training_data.shp", "landsat7_chiapas/training_data.gtif", "id"),
        ("eolearn_slovenia_lulc/LULC.gpkg", "eolearn_slovenia_lulc/lulc_raster.tif", "LULC_ID"),
    ],
)
def test_no_pixel_differs_from_label_rasters_made_by_others(
    labels: str, raster: str, column: str
) -> None:
    if not (PAIRS / labels).exists():
        pytest.skip("no shared data here")
    with rasterio.open(PAIRS / raster) as dataset:
        wanted = dataset.read(1)
        geobox = GeoBox(dataset.shape, dataset.transform, dataset.crs.to_wkt())
    codes = pyogrio.read_dataframe(PAIRS / labels, columns=[column], read_geometry=False)[column]
    values = sorted({0, *codes.tolist()})
    classes = [{"name": f"c{v}", "color": "#ffffff", "values": [v]} for v in values]
    known = ClassScheme.model_validate({"classes": classes, "outside": "c0", "column": column})
    found = read_polygons(PAIRS / labels, known, crs=str(geobox.crs), bounds=bounds_of(geobox))
    got = np.array(values)[rasterize(found, geobox)]
    assert int((got != wanted).sum()) == 0


def test_centre_rule_is_gdals() -> None:
    shapes = blobs(NORTH_UP, 60, seed=1)
    ids = [i % 4 for i in range(60)]
    got = rasterize(polygons(shapes, ids, scheme("a", "b", "c", "d")), grid_of())
    ordered = sorted(zip(shapes, ids, strict=True), key=lambda each: each[1])
    wanted = rasterio.features.rasterize(
        ordered, (96, 128), fill=255, transform=NORTH_UP, dtype="uint8"
    )
    assert np.array_equal(got, wanted)
    assert set(np.unique(got)) == {0, 1, 2, 3, 255}


@pytest.mark.parametrize("affine", [NORTH_UP, SOUTH_UP, ROTATED])
def test_centre_rule_is_point_in_polygon_on_any_affine(affine: Affine) -> None:
    shapes = blobs(affine, 12, seed=2)
    hole = shapes[0].difference(shapely.affinity.scale(shapes[0], 0.5, 0.5))
    geobox = grid_of(affine)
    got = rasterize(polygons([*shapes[1:], hole], [0] * 12, scheme("a")), geobox)
    area = shapely.union_all([*shapes[1:], hole])
    assert np.array_equal(got == 0, shapely.contains_xy(area, *centres(geobox)))


@pytest.mark.parametrize("affine", [NORTH_UP, ROTATED])
def test_touched_pixels_are_those_that_share_area_with_the_polygon(affine: Affine) -> None:
    shape = blobs(affine, 1, seed=3)[0]
    got = rasterize(polygons([shape], [0], scheme("a", burn="touched")), grid_of(affine))
    cols, rows = np.meshgrid(np.arange(128), np.arange(96))
    corners = [
        moved(affine, cols + right, rows + down) for right, down in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    pixels = shapely.polygons(np.stack([np.stack(c, axis=-1) for c in corners], axis=2))
    assert np.array_equal(got == 0, shapely.area(shapely.intersection(pixels, shape)) > 1e-9)


def test_a_polygon_on_pixel_borders_touches_no_pixel_beyond_them() -> None:
    got = rasterize(polygons([box(3, 2, 7, 4)], [0], scheme("a", burn="touched")), grid_of())
    rows, cols = np.nonzero(got == 0)
    assert (rows.min(), rows.max(), cols.min(), cols.max(), len(rows)) == (2, 3, 3, 6, 8)


def test_a_sliver_takes_no_centre_but_touches_its_row() -> None:
    sliver = box(3.1, 2.1, 6.9, 2.2)
    assert (rasterize(polygons([sliver], [0], scheme("a")), grid_of()) == 255).all()
    got = rasterize(polygons([sliver], [0], scheme("a", burn="touched")), grid_of())
    assert np.argwhere(got == 0).tolist() == [[2, 3], [2, 4], [2, 5], [2, 6]]


def test_majority_goes_to_the_class_that_covers_the_largest_part() -> None:
    # pixel (0, 0): a 3/8, b 2/8, outside 3/8 -> a; pixel (0, 1): a 2/8, outside 6/8 -> outside;
    # pixel (0, 2): a 4/8, b 4/8 -> b, which lies over a
    shapes = [box(0, 0, 0.375, 1), box(0.375, 0, 0.625, 1), box(1, 0, 1.25, 1)]
    shapes += [box(2, 0, 2.5, 1), box(2.5, 0, 3, 1)]
    got = rasterize(
        polygons(shapes, [0, 1, 0, 0, 1], scheme("a", "b", burn="majority")), grid_of(shape=(1, 4))
    )
    assert got.tolist() == [[0, 255, 1, 255]]


def test_polygons_of_one_class_add_up_to_a_majority() -> None:
    thirds = [box(0, 0, 0.3, 1), box(0.7, 0, 1, 1)]
    got = rasterize(polygons(thirds, [0, 0], scheme("a", burn="majority")), grid_of(shape=(1, 2)))
    assert got.tolist() == [[0, 255]]


def test_a_higher_class_lies_over_a_lower_one_unless_priority_says_otherwise() -> None:
    shapes, ids = [box(0, 0, 4, 1), box(2, 0, 6, 1), box(0, 0, 9, 1)], [1, 0, 255]
    strip = grid_of(shape=(1, 10))
    plain = rasterize(polygons(shapes, ids, scheme("a", "b", outside="a")), strip)
    assert plain.tolist() == [[1, 1, 1, 1, 0, 0, 255, 255, 255, 0]]
    first = scheme("a", "b", outside="a").model_dump()
    first["classes"][0]["priority"] = 9
    turned = rasterize(polygons(shapes, ids, ClassScheme.model_validate(first)), strip)
    assert turned.tolist() == [[1, 1, 0, 0, 0, 0, 255, 255, 255, 0]]


def test_the_order_of_features_in_the_file_does_not_matter() -> None:
    shapes, ids = blobs(NORTH_UP, 40, seed=4), [i % 3 for i in range(40)]
    known = scheme("a", "b", "c", burn="majority")
    one = rasterize(polygons(shapes, ids, known), grid_of())
    other = rasterize(polygons(shapes[::-1], ids[::-1], known), grid_of())
    assert np.array_equal(one, other)


@pytest.mark.parametrize("burn", ["centre", "touched", "majority"])
@pytest.mark.parametrize("affine", [NORTH_UP, SOUTH_UP, ROTATED])
@pytest.mark.parametrize("step", [None, 0.5])
def test_any_window_shows_exactly_the_pixels_of_the_whole(
    burn: str, affine: Affine, step: float | None
) -> None:
    shapes = blobs(affine, 40, seed=5, step=step)
    known = polygons(shapes, [i % 3 for i in range(40)], scheme("a", "b", "c", burn=burn))
    whole = rasterize(known, grid_of(affine))
    for size in (7, 33, 64):
        pieces = np.zeros_like(whole)
        for window in grid.split(Window(0, 0, 96, 128), size):
            geobox = GeoBox(window.shape, affine @ Affine.translation(window.col, window.row), UTM)
            pieces[window.slices] = rasterize(known, geobox)
        assert np.array_equal(pieces, whole)


def test_neighbours_leave_no_gap_and_never_overlap() -> None:
    rng = np.random.default_rng(6)
    points = shapely.MultiPoint(
        np.stack(moved(NORTH_UP, rng.uniform(-20, 150, 300), rng.uniform(-20, 120, 300)), axis=1)
    )
    cells = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=box(-50, -50, 200, 200)))
    painted = sum(
        (rasterize(polygons([cell], [0], scheme("a")), grid_of()) == 0).astype(int)
        for cell in cells
    )
    assert isinstance(painted, np.ndarray)
    assert (painted.min(), painted.max()) == (1, 1)


def test_rasters_larger_than_a_piece_come_out_in_one() -> None:
    geobox = grid_of(shape=(1100, 2100))
    got = rasterize(polygons([box(1000, 1000, 1050, 1050)], [0], scheme("a")), geobox)
    assert int((got == 0).sum()) == 2500 and (got[1000:1050, 1000:1050] == 0).all()


def test_polygons_in_another_crs_than_the_grid_are_refused() -> None:
    with pytest.raises(GridError, match="another CRS"):
        rasterize(polygons([box(0, 0, 1, 1)], [0], scheme("a")), GeoBox((2, 3), NORTH_UP, 32632))


# ---- read --------------------------------------------------------------------------------------


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


# ---- write -------------------------------------------------------------------------------------


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
