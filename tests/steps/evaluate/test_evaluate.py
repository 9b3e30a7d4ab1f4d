"""Accuracy: numbers worked out by hand, counted only where map and truth both know."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import shapely
from affine import Affine
from networks import TWO_CLASSES
from numpy.typing import NDArray
from pyproj import Geod
from skimage.measure import label
from small_scene import SCHEME, TINY, MakeRaster, SmallScene

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ConfigError, GridError, InputError
from geoseg.steps.evaluate import windows
from geoseg.steps.evaluate.accuracy_text import describe

THINGS = geoseg.EvaluateOptions(objects=("building",))


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
    labels: Path,
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
    with pytest.raises(GridError, match=r"grid of none of them.*--area"):
        geoseg.evaluate(elsewhere, labels, options=geoseg.EvaluateOptions(chips=chips))


def test_polygons_score_what_their_raster_scores(
    land_map: Path, truth: Path, tmp_path: Path
) -> None:
    polygons = geoseg.vectorize(land_map / "classes.tif", tmp_path / "land.gpkg")
    options = geoseg.EvaluateOptions(classes=land_map / "classes.yaml")
    found, wanted = (
        geoseg.evaluate(polygons, truth, options=options),
        geoseg.evaluate(land_map, truth),
    )
    for key in ("classes", "confusion", "confusion_m2", "boundary", "intervals", "majority"):
        assert found[key] == wanted[key]
    with pytest.raises(ConfigError, match="--classes"):
        geoseg.evaluate(polygons, truth)


def test_a_truth_that_meets_no_mapped_pixel_is_an_error(
    land_map: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    empty = make_raster(tmp_path / "empty.tif", np.full((96, 128), 255, np.uint8), nodata=255)
    with pytest.raises(InputError, match="share no labelled pixel"):
        geoseg.evaluate(land_map, empty)


def noisy(seed: int) -> NDArray[np.uint8]:
    """A 96 x 128 map of small buildings, with a corner without data."""
    noise = np.random.default_rng(seed).random((96, 128))
    blobs = np.add.reduce([np.roll(noise, (i, j), (0, 1)) for i in range(4) for j in range(4)])
    classes = (blobs > 8.6).astype(np.uint8)
    classes[-20:, :9] = 255
    return classes


@pytest.fixture
def pair(tmp_path: Path, make_raster: MakeRaster) -> tuple[Path, Path]:
    """A map and a truth that share some buildings."""
    one, other = noisy(1), np.where(noisy(2) == 1, 0, noisy(1)).astype(np.uint8)
    other[40:70, 90:] = noisy(3)[40:70, 90:]
    (tmp_path / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    paths = [tmp_path / "classes.tif", tmp_path / "truth.tif"]
    for path, classes in zip(paths, (one, other), strict=True):
        make_raster(path, classes, nodata=255)
    return paths[0], paths[1]


def test_square_metres_are_pixels_times_their_area(land_map: Path, truth: Path) -> None:
    report = geoseg.evaluate(land_map, truth)
    assert report["confusion_m2"] == [[90 * 56 / 4, 90 * 32 / 4], [0, 90 * 32 / 4]]


def test_in_degrees_pixels_have_the_area_of_their_row(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    classes = np.zeros((60, 40), np.uint8)
    classes[30:] = 1
    profile = {"nodata": 255, "crs": "EPSG:4326", "transform": Affine(0.5, 0, 10, 0, -1, 70)}
    for name in ("classes.tif", "truth.tif"):
        make_raster(tmp_path / name, classes, **profile)
    (tmp_path / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    report = geoseg.evaluate(tmp_path / "classes.tif", tmp_path / "truth.tif")
    geod = Geod(ellps="WGS84")
    for index, (south, north) in enumerate(((40, 70), (10, 40))):
        along = np.linspace(10, 30, 4001)  # parallels are no geodesics
        lon, lat = np.append(along, along[::-1]), np.repeat([south, north], len(along))
        area, _ = geod.polygon_area_perimeter(lon, lat)
        assert report["confusion_m2"][index][index] == pytest.approx(area, rel=1e-6)


def test_every_window_size_gives_the_same_report(
    pair: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    options = THINGS.model_copy(update={"block": 24})
    whole = geoseg.evaluate(*pair, options=options)
    for side in (24, 33, 50):
        monkeypatch.setattr(windows, "WINDOW_PX", side)
        assert geoseg.evaluate(*pair, options=options) == whole


def test_regions_are_matched_as_one_pass_over_the_whole_would(pair: tuple[Path, Path]) -> None:
    one, other = noisy(1), np.where(noisy(2) == 1, 0, noisy(1))
    other[40:70, 90:] = noisy(3)[40:70, 90:]
    mapped, truth = (label(each == 1, connectivity=1) for each in (one, other))
    known = (one != 255) & (other != 255)
    hits = 0.0, 0
    for each in range(1, truth.max() + 1):
        here = (truth == each) & known
        for found in np.unique(mapped[here]):
            union = here | ((mapped == found) & known)
            iou = (here & (mapped == found)).sum() / union.sum()
            hits = (hits[0] + iou, hits[1] + 1) if found and iou > 0.5 else hits
    (found,) = geoseg.evaluate(*pair, options=THINGS)["objects"]
    assert 5 < hits[1] < min(truth.max(), mapped.max())
    assert (found["matched"], found["support"]) == (hits[1], truth.max())
    assert found["invented"] == mapped.max() - hits[1]
    assert found["sq"] == pytest.approx(hits[0] / hits[1], abs=1e-6)
    assert found["pq"] == pytest.approx(2 * hits[0] / (truth.max() + mapped.max()), abs=1e-6)


def test_polygons_that_touch_are_objects_of_their_own(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    """Two terraced houses of 10 x 8 px in the truth; the map has them as one."""
    classes = np.zeros((96, 128), np.uint8)
    classes[20:30, 40:56] = 1
    (tmp_path / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    land_map = make_raster(tmp_path / "classes.tif", classes, nodata=255)
    top, bottom = 5_000_000 - 10, 5_000_000 - 15
    boxes = [(500_020, 500_024), (500_024, 500_028)]
    ground = shapely.box(500_000, 4_999_952, 500_064, 5_000_000)
    rows = [ground, *(shapely.box(west, bottom, east, top) for west, east in boxes)]
    truth = gpd.GeoDataFrame({"kind": ["land", "building", "building"]}, geometry=rows, crs=32633)
    truth.to_crs(3857).to_file(tmp_path / "truth.gpkg")
    options = THINGS.model_copy(update={"column": "kind"})
    report = geoseg.evaluate(land_map, tmp_path / "truth.gpkg", options=options)
    assert report["overall_accuracy"] == 1
    (found,) = report["objects"]
    # 80 of 160 px: half is not more than half
    assert (found["matched"], found["missed"], found["invented"]) == (0, 2, 1)
    assert (found["sq"], found["pq"]) == (None, 0)


def test_classes_with_footprints_are_objects_unless_others_are_named(
    pair: tuple[Path, Path],
) -> None:
    assert geoseg.evaluate(*pair)["objects"] == []
    content = TWO_CLASSES.model_dump()
    content["classes"][1]["regularize"] = True
    scheme = type(TWO_CLASSES).model_validate(content)
    (pair[0].parent / "classes.yaml").write_text(scheme.to_yaml(), encoding="utf-8")
    assert [each["name"] for each in geoseg.evaluate(*pair)["objects"]] == ["building"]
    options = geoseg.EvaluateOptions(objects=("land",))
    assert [each["name"] for each in geoseg.evaluate(*pair, options=options)["objects"]] == ["land"]
    with pytest.raises(ConfigError, match=r"--objects.*'?tree"):
        geoseg.evaluate(*pair, options=geoseg.EvaluateOptions(objects=("tree",)))


def test_blocks_add_up_and_lie_where_they_say(land_map: Path, truth: Path) -> None:
    options = geoseg.EvaluateOptions(block=50)
    report = geoseg.evaluate(land_map, truth, options=options)
    places = [(each["row"], each["col"], each["n_pixels"]) for each in report["blocks"]]
    assert places == [
        (0, 0, 2500), (0, 50, 2500), (0, 100, 1000), (50, 0, 2000), (50, 50, 2000), (50, 100, 800),
    ]  # fmt: skip
    # columns 0-31 right, 32-49 wrong
    assert report["blocks"][0]["overall_accuracy"] == pytest.approx(32 / 50)
    assert report["intervals"]["blocks"] == 6
    low, high = report["intervals"]["overall_accuracy"]
    assert low < report["overall_accuracy"] < high


def test_blocks_are_small_enough_that_there_are_thirty(land_map: Path, truth: Path) -> None:
    report = geoseg.evaluate(land_map, truth)
    # 96 x 128 px: 2 x 2 blocks of 64 px, but 3 x 4 of 32 px, the smallest
    assert (report["intervals"]["block_px"], report["intervals"]["blocks"]) == (32, 12)


def test_maps_are_scored_one_by_one_and_together(
    land_map: Path, truth: Path, make_raster: MakeRaster
) -> None:
    other = land_map.parent / "other.tif"
    make_raster(other, np.zeros((96, 128), np.uint8), nodata=255)
    options = geoseg.EvaluateOptions(classes=land_map / "classes.yaml")
    report = geoseg.evaluate([land_map, other], truth, options=options)
    assert [each["map"] for each in report["scenes"]] == [land_map.as_posix(), other.as_posix()]
    assert [each["n_pixels"] for each in report["scenes"]] == [90 * 120, 96 * 120]
    right = [each["overall_accuracy"] for each in report["scenes"]]
    assert right == pytest.approx([88 / 120, 88 / 120], abs=1e-6)
    assert report["n_pixels"] == 186 * 120
    assert str(other) in describe(report)


def test_calibration_comes_from_the_confidence_beside_the_map(
    land_map: Path, truth: Path, make_raster: MakeRaster
) -> None:
    assert geoseg.evaluate(land_map, truth)["calibration"] is None
    confidence = np.full((96, 128), 80, np.uint8)
    confidence[:, :64] = 70
    make_raster(land_map / "confidence.tif", confidence, nodata=255)
    found = geoseg.evaluate(land_map, truth)["calibration"]
    # 64 columns of 70 %, half of them right; 56 of 80 %, all right
    assert found["ece"] == pytest.approx((64 * 0.2 + 56 * 0.2) / 120)
    assert found["n_pixels"] == 90 * 120
    assert {each["confidence"] for each in found["bins"] if each["n_pixels"]} == {0.7, 0.8}


def test_a_margin_is_no_probability(land_map: Path, truth: Path, make_raster: MakeRaster) -> None:
    make_raster(land_map / "confidence.tif", np.full((96, 128), 80, np.uint8), nodata=255)
    record = {"step": "predict", "key": "k", "inputs": [], "outputs": {}}
    for measure, known in (("probability", True), ("margin", False), ("entropy", False)):
        text = json.dumps({**record, "options": {"confidence": measure}})
        (land_map / "run.json").write_text(text, encoding="utf-8")
        assert (geoseg.evaluate(land_map, truth)["calibration"] is not None) == known


def test_labels_are_called_what_they_are_unless_they_cover_the_map(
    land_map: Path, truth: Path
) -> None:
    assert any(
        "not a random sample" in each for each in geoseg.evaluate(land_map, truth)["warnings"]
    )
    itself = geoseg.evaluate(land_map, land_map / "classes.tif")
    assert (itself["miou"], itself["warnings"]) == (1, [])


def test_the_tables_and_pictures_show_every_class(
    pair: tuple[Path, Path], tmp_path: Path, make_raster: MakeRaster
) -> None:
    make_raster(tmp_path / "confidence.tif", np.full((96, 128), 80, np.uint8), nodata=255)
    options = THINGS.model_copy(update={"plots": tmp_path / "plots"})
    report = geoseg.evaluate(*pair, options=options)
    text = describe(report)
    assert text.count("building") == 4
    assert "mean IoU" in text and "PQ" in text and "(ECE)" in text
    assert max(map(len, text.splitlines())) <= 120
    names = sorted(each.name for each in (tmp_path / "plots").iterdir())
    assert names == ["confusion.png", "reliability.png"]
    assert json.loads(json.dumps(report)) == report


def test_outlines_count_only_where_both_sides_of_them_are_known(
    land_map: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    """A patch of sparse labels has no outline: the map's, at column 64, is not to be judged."""
    sparse = np.full((96, 128), 255, np.uint8)
    sparse[30:40, 62:66] = 1
    report = geoseg.evaluate(land_map, make_raster(tmp_path / "sparse.tif", sparse, nodata=255))
    assert [each["iou"] for each in report["boundary"]["classes"]] == [None, None]
    sparse[30:40, 50:80] = 1
    report = geoseg.evaluate(land_map, make_raster(tmp_path / "more.tif", sparse, nodata=255))
    assert [each["iou"] for each in report["boundary"]["classes"]] == [0, 0]


def test_an_undefined_score_is_a_dash(land_map: Path, truth: Path) -> None:
    three = TWO_CLASSES.model_dump()
    three["classes"] = (*three["classes"], {"name": "water", "color": "#2b83ba"})
    scheme = type(TWO_CLASSES).model_validate(three)
    (land_map / "classes.yaml").write_text(scheme.to_yaml(), encoding="utf-8")
    report = geoseg.evaluate(land_map, truth)
    assert report["boundary"]["classes"][2] == {"name": "water", "iou": None, "support": 0}
    assert report["intervals"]["classes"][2]["iou"] == [None, None]
    (row,) = (line for line in describe(report).splitlines() if line.endswith(" 0.00"))
    assert row.split() == ["water", "-", "-", "-", "-", "-", "-", "0", "0.00"]
