"""Samples: drawn at random within classes, filled in by somebody, and read back."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import geopandas as gpd
import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from affine import Affine
from networks import TWO_CLASSES
from small_scene import NORTH_UP, MakeRaster

import geoseg
from geoseg.accuracy.stratified import estimate
from geoseg.cli import _main
from geoseg.errors import ClassError, ConfigError, InputError, OutputError
from geoseg.samples import draw
from geoseg.samples.write_sample import form_qml
from geoseg.steps.evaluate.accuracy_text import describe

type Fill = Callable[[int, float, float], str | None]


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """96 x 128 px of 0.5 m: 1600 building, 9568 land, 1120 without data."""
    classes = np.zeros((96, 128), np.uint8)
    classes[20:60, 30:70] = 1
    classes[-10:, 16:] = 255
    (tmp_path / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    return make_raster(tmp_path / "classes.tif", classes, nodata=255)


def fill(path: Path, say: Fill) -> None:
    """Write what an interpreter would; the triggers of the index want functions QGIS has."""
    points = gpd.read_file(path, layer="sample")
    triggers = "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'sample'"
    rows = [
        (say(int(point), place.x, place.y), int(point))
        for point, place in zip(points["point"], points.geometry, strict=True)
    ]
    with closing(sqlite3.connect(path)) as database, database:
        for (name,) in database.execute(triggers).fetchall():
            database.execute(f'DROP TRIGGER "{name}"')
        database.executemany("UPDATE sample SET reference = ? WHERE point = ?", rows)


def drawn_of(path: Path) -> list[tuple[int, int]]:
    with closing(sqlite3.connect(path)) as database:
        return database.execute("SELECT point, class_id FROM drawn ORDER BY point").fetchall()


def test_every_point_is_a_pixel_centre_of_its_class_and_none_comes_twice(
    land_map: Path, tmp_path: Path
) -> None:
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=200)
    points = gpd.read_file(out, layer="sample")
    assert points.crs == "EPSG:32633"
    assert len(points) == 200 == len(points.geometry.drop_duplicates())
    where = list(zip(points.geometry.x, points.geometry.y, strict=True))
    cells = np.array([~NORTH_UP @ each for each in where])
    assert np.allclose(cells % 1, 0.5)
    with rasterio.open(land_map) as dataset:
        classes = np.array([value[0] for value in dataset.sample(where)])
    assert classes.tolist() == [class_id for _, class_id in drawn_of(out)]
    # 50 at least, the rest by area: 1600 of 11168 px would be 29
    assert np.bincount(classes).tolist() == [150, 50]


def test_the_interpreter_does_not_see_the_map_and_chooses_from_its_names(
    land_map: Path, tmp_path: Path
) -> None:
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=100)
    points = gpd.read_file(out, layer="sample")
    assert set(points.columns) == {"point", "reference", "note", "geometry"}
    assert points["reference"].isna().all()
    ids = [class_id for _, class_id in drawn_of(out)]
    assert len({tuple(ids[i : i + 25]) for i in range(0, 100, 25)}) == 4
    assert 0 < sum(ids[:50]) < sum(ids)
    layers = dict(pyogrio.list_layers(out).tolist())
    assert layers["sample"] == "Point" and layers["drawn"] is None
    styles = pyogrio.read_dataframe(out, layer="layer_styles", read_geometry=False)
    assert styles["f_table_name"].tolist() == ["sample"]
    assert styles["f_table_schema"].tolist() == [""]
    assert 'value="building"' in styles["styleQML"][0] == form_qml(TWO_CLASSES)


def test_the_strata_are_what_the_classes_cover(land_map: Path, tmp_path: Path) -> None:
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=100)
    strata = pyogrio.read_dataframe(out, layer="strata", read_geometry=False)
    assert strata["class_name"].tolist() == ["land", "building"]
    assert strata["pixels"].tolist() == [9568, 1600]
    assert strata["area_m2"].tolist() == [9568 / 4, 1600 / 4]


def test_the_seed_draws_the_points(land_map: Path, tmp_path: Path) -> None:
    places = []
    for name, seed in (("a", 0), ("b", 0), ("c", 5)):
        options = geoseg.EvaluateOptions(seed=seed)
        out = geoseg.draw_sample(land_map, tmp_path / f"{name}.gpkg", points=60, options=options)
        points = gpd.read_file(out, layer="sample").geometry
        places.append(list(zip(points.x, points.y, strict=True)))
    assert places[0] == places[1] != places[2]


def test_windows_cannot_change_what_is_drawn(
    land_map: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = []
    for side in (2048, 37):
        monkeypatch.setattr(draw, "WINDOW_PX", side)
        out = geoseg.draw_sample(land_map, tmp_path / f"{side}.gpkg", points=60)
        counts.append(np.bincount([class_id for _, class_id in drawn_of(out)]).tolist())
        fill(out, lambda *_: "land")
        assert geoseg.evaluate(land_map, out)["n_pixels"] == 60
    assert counts[0] == counts[1]


def test_a_sample_that_is_filled_in_gives_the_figures_of_the_whole_map(
    land_map: Path, tmp_path: Path
) -> None:
    """Really, the building is 8 columns wider to the east, and so 1920 px or 480 m2."""
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=400)

    def look(_: int, x: float, y: float) -> str:
        col, row = ~NORTH_UP @ (x, y)
        return "building" if 20 <= row < 60 and 30 <= col < 78 else "land"

    fill(out, look)
    report = geoseg.evaluate(land_map, out)
    counts = np.array(report["confusion"])
    assert counts.sum() == report["n_pixels"] == 400
    assert counts[0, 1] == 0 < counts[1, 0]
    found = estimate(counts, np.array([9568, 1600]) / 11168)
    building = report["sample"]["classes"][1]
    assert report["overall_accuracy"] == pytest.approx(found.overall, abs=1e-6)
    assert building["mapped_m2"] == 400
    assert building["area_m2"] == pytest.approx(11168 / 4 * found.area[1], abs=1e-3)
    low, high = building["area_interval_m2"]
    assert low < 480 < high
    assert high - low == pytest.approx(2 * 1.96 * building["area_se_m2"], abs=0.01)
    assert building["users"] == report["classes"][1]["precision"] == 1
    assert building["producers"] == report["classes"][1]["recall"]
    assert report["classes"][1]["support"] == counts[1].sum()
    assert report["warnings"] == []
    assert "producer's" in describe(report)


def test_points_that_are_not_filled_in_are_counted_and_said(land_map: Path, tmp_path: Path) -> None:
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=100)
    with pytest.raises(InputError, match="no point is filled in"):
        geoseg.evaluate(land_map, out)
    fill(out, lambda point, *_: " land " if point > 30 else None)
    report = geoseg.evaluate(land_map, out)
    assert (report["n_pixels"], report["sample"]["not_filled"]) == (70, 30)
    assert report["warnings"][0].startswith("30 of 100 points")
    fill(out, lambda *_: "forest")
    with pytest.raises(ClassError, match=r"reference.*forest.*column reference"):
        geoseg.evaluate(land_map, out)


def test_a_sample_of_another_map_is_refused(
    land_map: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=100)
    fill(out, lambda *_: "land")
    make_raster(land_map, np.zeros((96, 128), np.uint8), nodata=255)
    with pytest.raises(InputError, match=r"another map.*25 of 100"):
        geoseg.evaluate(land_map, out)


def test_a_file_that_is_there_is_never_drawn_over(land_map: Path, tmp_path: Path) -> None:
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=20)
    before = out.read_bytes()
    with pytest.raises(OutputError, match="exists already"):
        geoseg.draw_sample(land_map, out, points=20)
    assert out.read_bytes() == before
    with pytest.raises(OutputError, match=r"GeoPackage.*points\.gpkg"):
        geoseg.draw_sample(land_map, tmp_path / "points.shp", points=20)


def test_a_standard_error_says_how_many_points(land_map: Path, tmp_path: Path) -> None:
    options = geoseg.EvaluateOptions(expect=("land=0.9", "building=0.6"))
    out = geoseg.draw_sample(
        land_map, tmp_path / "sample.gpkg", standard_error=0.02, options=options
    )
    spread = (9568 * np.sqrt(0.9 * 0.1) + 1600 * np.sqrt(0.6 * 0.4)) / 11168
    assert len(drawn_of(out)) == round((spread / 0.02) ** 2)


@pytest.mark.parametrize(
    ("points", "error", "expect", "message"),
    [
        (None, None, (), "size of the sample is not given"),
        (None, 0.7, (), "size of the sample is not given"),
        (3, None, (), "at least 4"),
        (None, 0.1, ("tree=0.5",), "NAME=SHARE"),
        (None, 0.1, ("land=1.5",), "between 0 and 1"),
    ],
)
def test_a_plan_that_is_none_is_refused(
    land_map: Path,
    tmp_path: Path,
    points: int | None,
    error: float | None,
    expect: tuple[str, ...],
    message: str,
) -> None:
    options = geoseg.EvaluateOptions(expect=expect)
    with pytest.raises(ConfigError, match=message):
        geoseg.draw_sample(
            land_map, tmp_path / "s.gpkg", points=points, standard_error=error, options=options
        )


def test_an_area_limits_the_sample(land_map: Path, tmp_path: Path) -> None:
    box = shapely.box(500_000, 4_999_976, 500_032, 5_000_000)  # 48 rows, 64 columns
    gpd.GeoDataFrame(geometry=[box], crs=32633).to_crs(4326).to_file(tmp_path / "area.gpkg")
    options = geoseg.EvaluateOptions(area=tmp_path / "area.gpkg")
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=80, options=options)
    assert gpd.read_file(out, layer="sample").geometry.within(box).all()
    strata = pyogrio.read_dataframe(out, layer="strata", read_geometry=False)
    assert strata["pixels"].tolist() == [48 * 64 - 28 * 34, 28 * 34]


def test_in_degrees_points_are_drawn_by_area_and_not_by_pixel(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    """From 80 N to the equator, half of the ground lies south of 29.5 N."""
    profile = {"crs": "EPSG:4326", "transform": Affine(0.5, 0, 10, 0, -0.5, 80)}
    land_map = make_raster(tmp_path / "classes.tif", np.zeros((160, 90), np.uint8), **profile)
    scheme = {"classes": [{"name": "land", "color": "#ffffff"}]}
    (tmp_path / "classes.yaml").write_text(
        geoseg.ClassScheme.model_validate(scheme).to_yaml(), encoding="utf-8"
    )
    out = geoseg.draw_sample(land_map, tmp_path / "sample.gpkg", points=1500)
    south = gpd.read_file(out, layer="sample").geometry.y < 29.5
    # standard deviation of the share: 0.013; by pixel it would be 0.37
    assert 0.45 < south.mean() < 0.55


def test_two_maps_in_two_zones_are_one_population(
    land_map: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    other = tmp_path / "east"
    other.mkdir()
    (other / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    make_raster(other / "classes.tif", np.ones((70, 40), np.uint8), nodata=255, crs="EPSG:32634")
    out = geoseg.draw_sample([land_map, other], tmp_path / "sample.gpkg", points=200)
    strata = pyogrio.read_dataframe(out, layer="strata", read_geometry=False)
    assert strata["pixels"].tolist() == [9568, 1600 + 2800]
    fill(out, lambda *_: "building")
    report = geoseg.evaluate([land_map, other], out)
    assert report["overall_accuracy"] == pytest.approx(4400 / 13968, abs=1e-6)


def test_the_command_draws_and_then_says_what_follows(
    land_map: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "sample.gpkg"
    assert _main(["evaluate", str(land_map), "--draw-sample", "60", "-o", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out)]
    fill(out, lambda *_: "land")
    assert _main(["evaluate", str(land_map), "--truth", str(out)]) == 0
    assert "from 60 points" in capsys.readouterr().out
    assert _main(["evaluate", str(land_map)]) == 2
    assert "--draw-sample" in capsys.readouterr().err
