"""Accuracy: numbers worked out by hand, counted only where map and truth both know."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from conftest import MakeRaster, SmallScene
from networks import TWO_CLASSES
from test_chips import SCHEME, TINY, labels  # noqa: F401  (a fixture)

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ConfigError, GridError, InputError


@pytest.fixture
def land_map(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """A map of 96 x 128: building in columns 0-63, land in 64-127, no data in rows 90-95."""
    classes = np.zeros((96, 128), np.uint8)
    classes[:, :64] = 1
    classes[90:] = 255
    folder = tmp_path / "map"
    folder.mkdir()
    make_raster(folder / "classes.tif", classes, nodata=255)
    (folder / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    return folder


@pytest.fixture
def truth(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """Building in columns 0-31, land in 32-119, unlabelled in 120-127."""
    codes = np.zeros((96, 128), np.uint8)
    codes[:, :32] = 1
    codes[:, 120:] = 255
    return make_raster(tmp_path / "truth.tif", codes, nodata=255)


def test_a_report_is_the_confusion_of_pixels_both_know(land_map: Path, truth: Path) -> None:
    report = geoseg.evaluate(land_map, truth)
    # 90 rows: 32 columns building/building, 32 land/building, 56 land/land
    assert report["confusion"] == [[90 * 56, 90 * 32], [0, 90 * 32]]
    assert report["n_pixels"] == 90 * 120
    land, building = report["classes"]
    assert land["iou"] == pytest.approx(56 / 88, abs=1e-6)
    assert building["iou"] == 0.5
    assert (building["precision"], building["recall"]) == (0.5, 1.0)
    assert building["f1"] == pytest.approx(2 / 3, abs=1e-6)
    assert report["miou"] == pytest.approx((56 / 88 + 0.5) / 2, abs=1e-6)
    assert report["overall_accuracy"] == pytest.approx(88 / 120, abs=1e-6)
    assert [each["support"] for each in report["classes"]] == [90 * 88, 90 * 32]
    # always land: IoU of land 88/120, of building 0
    assert report["majority"] == {
        "name": "land", "miou": pytest.approx(88 / 240, abs=1e-6),
        "overall_accuracy": pytest.approx(88 / 120, abs=1e-6),
    }  # fmt: skip


def test_a_class_in_neither_map_nor_truth_has_no_score(land_map: Path, truth: Path) -> None:
    three = TWO_CLASSES.model_dump()
    three["classes"] = (*three["classes"], {"name": "water", "color": "#2b83ba"})
    scheme = type(TWO_CLASSES).model_validate(three)
    (land_map / "classes.yaml").write_text(scheme.to_yaml(), encoding="utf-8")
    report = geoseg.evaluate(land_map, truth)
    water = report["classes"][2]
    assert water == {
        "id": 2, "name": "water", "iou": None, "f1": None, "precision": None, "recall": None,
        "support": 0,
    }  # fmt: skip
    assert report["miou"] == pytest.approx((56 / 88 + 0.5) / 2, abs=1e-6)


def test_only_the_area_asked_for_is_counted(land_map: Path, truth: Path, tmp_path: Path) -> None:
    area = gpd.GeoDataFrame(
        geometry=[shapely.box(500_000, 4_999_952, 500_016, 5_000_000)], crs=32633
    )
    area.to_crs(4326).to_file(tmp_path / "area.gpkg")
    report = geoseg.evaluate(
        land_map, truth, options=geoseg.EvaluateOptions(area=tmp_path / "area.gpkg")
    )
    assert report["confusion"] == [[0, 0], [0, 90 * 32]]
    assert report["classes"][0]["iou"] is None


def test_only_held_out_chips_are_counted(
    scene: SmallScene,
    labels: Path,  # noqa: F811
    tmp_path: Path,
    make_raster: MakeRaster,
) -> None:
    chips = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=TINY)
    opened = open_chips(chips)
    classes = np.where(scene.valid, 0, 255).astype(np.uint8)
    land_map = make_raster(tmp_path / "map.tif", classes, nodata=255)
    (tmp_path / "classes.yaml").write_text(SCHEME.to_yaml(), encoding="utf-8")
    for split in ("test", "val", "train"):
        options = geoseg.EvaluateOptions(chips=chips, split=split)
        report = geoseg.evaluate(land_map, labels, options=options)
        counted = [each["support"] for each in report["classes"]]
        assert counted == list(opened.spec.pixels[split])
    elsewhere = make_raster(tmp_path / "odd.tif", np.zeros((9, 9), np.uint8), nodata=255)
    with pytest.raises(GridError, match=r"none of the chips' scenes.*--area"):
        geoseg.evaluate(elsewhere, labels, options=geoseg.EvaluateOptions(chips=chips))


def test_polygons_score_what_their_raster_scores(
    land_map: Path, truth: Path, tmp_path: Path
) -> None:
    polygons = geoseg.vectorize(land_map / "classes.tif", tmp_path / "land.gpkg")
    options = geoseg.EvaluateOptions(classes=land_map / "classes.yaml")
    assert geoseg.evaluate(polygons, truth, options=options) == geoseg.evaluate(land_map, truth)
    with pytest.raises(ConfigError, match="--classes"):
        geoseg.evaluate(polygons, truth)


def test_a_truth_that_meets_no_mapped_pixel_is_an_error(
    land_map: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    empty = make_raster(tmp_path / "empty.tif", np.full((96, 128), 255, np.uint8), nodata=255)
    with pytest.raises(InputError, match="share no labelled pixel"):
        geoseg.evaluate(land_map, empty)
