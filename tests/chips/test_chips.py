"""Chips: the pixels and labels of the scene, split without a leak, described exactly."""

from __future__ import annotations

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from small_scene import SCHEME, TINY, MakeRaster, SmallScene, write_labels

import geoseg
from geoseg.chips import open_chips
from geoseg.classes import ClassScheme
from geoseg.errors import ChipsError, ClassError, ModelError, VectorError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.labels import LabelLayer, open_labels
from geoseg.layout import CHIP_FILES
from geoseg.raster import FileSource


def test_chips_hold_the_pixels_and_labels_of_their_windows(chips: Path, scene: SmallScene) -> None:
    opened = open_chips(chips)
    truth = np.full((96, 128), 255, np.uint8)
    truth[:, :112] = 0
    truth[30:70, 40:100] = 1
    truth[~scene.valid] = 255
    assert len(opened.index) == 12
    for chip, (row, col) in enumerate(opened.index[["row", "col"]].to_numpy()):
        here = (slice(row, row + 32), slice(col, col + 32))
        assert np.array_equal(opened.labels[chip], truth[here])
        assert np.array_equal(opened.valid[chip], scene.valid[here])
        real = scene.valid[here]
        assert np.array_equal(opened.images[chip][:, real], scene.pixels[:, *here][:, real])


def test_the_index_counts_the_labelled_pixels_of_each_class(chips: Path) -> None:
    opened = open_chips(chips)
    for chip in range(len(opened.index)):
        counts = [int((opened.labels[chip] == c).sum()) for c in (0, 1)]
        assert opened.index.loc[chip, ["pixels_0", "pixels_1"]].tolist() == counts
    assert sum(sum(counts) for counts in opened.spec.pixels.values()) == 96 * 112 - 16 * 24


def test_statistics_are_those_of_the_valid_training_pixels(chips: Path) -> None:
    opened = open_chips(chips)
    train = opened.positions("train")
    for band, facts in enumerate(opened.spec.bands):
        values = opened.images[train][:, band][opened.valid[train]].astype(float)
        assert facts.mean == pytest.approx(values.mean(), rel=1e-12)
        assert facts.std == pytest.approx(values.std(), rel=1e-12)
        assert (facts.min, facts.max) == (values.min(), values.max())


def test_every_split_has_chips_and_they_share_no_ground(chips: Path) -> None:
    opened = open_chips(chips)
    assert {"train", "val", "test"} <= set(opened.index["split"])
    assert opened.spec.overlap_m2 == 0
    footprints = gpd.read_file(chips / "chips.gpkg").to_crs(32633)
    train = footprints[footprints["split"] == "train"].union_all()
    held = footprints[footprints["split"].isin(["val", "test"])].union_all()
    assert train.intersection(held).area < 1e-3  # corners went through degrees and back
    assert footprints.area.sum() == pytest.approx(12 * 16 * 16, rel=1e-6)


@pytest.mark.slow
def test_two_workers_cut_the_same_bytes(
    chips: Path, tmp_path: Path, scene: SmallScene, labels: Path
) -> None:
    options = TINY.model_copy(update={"workers": 2})
    again = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=options)
    assert [sha256(chips / name) for name in CHIP_FILES] == [
        sha256(again / name) for name in CHIP_FILES
    ]


def test_chips_without_a_label_are_left_out_and_counted(tmp_path: Path, scene: SmallScene) -> None:
    shapes = [("field", shapely.box(500_000, 4_999_952, 500_048, 4_999_984))]
    labels = write_labels(tmp_path / "south.gpkg", shapes, "EPSG:32633")
    folder = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=TINY)
    counts = json.loads((folder / "run.json").read_text(encoding="utf-8"))["counts"]
    assert counts == {"kept": 6, "unlabelled": 6, "invalid": 0}


def test_a_small_part_of_a_region_is_labelled_by_what_covers_pixel_centres(
    tmp_path: Path, scene: SmallScene
) -> None:
    slanted = shapely.Polygon(
        [(500_003.1, 4_999_999), (500_061.7, 4_999_980), (500_030, 4_999_955)]
    )
    labels = write_labels(tmp_path / "slanted.gpkg", [("house", slanted)], "EPSG:32633")
    source = FileSource(scene.path)
    ids = open_labels(LabelLayer(str(labels), SCHEME), source.geobox).read(Window(0, 0, 96, 128))
    expected = rasterio.features.rasterize(
        [(slanted, 1)], (96, 128), fill=255, transform=Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
    )
    assert np.array_equal(ids, expected)


def test_label_rasters_are_taken_by_where_they_lie_and_minus_one_is_ignored(
    tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
) -> None:
    folder = tmp_path / "truth"
    folder.mkdir()
    codes = np.full((96, 128), 7, np.int16)
    codes[:, 64:] = 9
    codes[:8] = -1
    make_raster(folder / "here.tif", codes)
    make_raster(folder / "elsewhere.tif", codes, transform=Affine(0.5, 0, 0, 0, -0.5, 5_000_000))
    scheme = ClassScheme.model_validate(
        {
            "classes": [
                {"name": "a", "color": "#000000", "values": [7]},
                {"name": "b", "color": "#ffffff", "values": [9]},
            ],
            "ignore": [-1],
        }
    )
    chips = open_chips(
        geoseg.tile(scene.path, folder, tmp_path / "chips", classes=scheme, options=TINY)
    )
    assert sum(counts[0] for counts in chips.spec.pixels.values()) == 88 * 64 - 8 * 24
    assert sum(counts[1] for counts in chips.spec.pixels.values()) == 88 * 64


def test_an_unmapped_code_is_refused_with_its_count(tmp_path: Path, scene: SmallScene) -> None:
    box = shapely.box(500_000, 4_999_952, 500_064, 5_000_000)
    labels = write_labels(
        tmp_path / "l.gpkg", [("house", box), ("shed", box), ("shed", box)], "EPSG:3857"
    )
    with pytest.raises(ClassError, match=r"l\.gpkg.*'shed' \(2 x\)"):
        geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=TINY)
    assert not (tmp_path / "chips" / "chips.json").exists()


def test_labels_that_meet_no_scene_are_refused(tmp_path: Path, scene: SmallScene) -> None:
    labels = write_labels(tmp_path / "far.gpkg", [("house", shapely.box(0, 0, 9, 9))], "EPSG:32633")
    with pytest.raises(VectorError, match=r"far\.gpkg"):
        geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=TINY)


def test_scenes_of_other_bands_are_refused_before_any_work(
    tmp_path: Path, scene: SmallScene, labels: Path, make_raster: MakeRaster
) -> None:
    other = make_raster(tmp_path / "other.tif", scene.pixels[:2])
    with pytest.raises(ChipsError, match=r"other\.tif: differs from .*scene\.tif"):
        geoseg.tile([scene.path, other], labels, tmp_path / "chips", classes=SCHEME, options=TINY)


def test_a_held_out_area_is_the_test_split(tmp_path: Path, scene: SmallScene, labels: Path) -> None:
    east = gpd.GeoDataFrame(
        geometry=[shapely.box(500_040, 4_999_900, 500_090, 5_000_010)], crs=32633
    )
    east.to_crs(4326).to_file(tmp_path / "east.geojson")
    options = TINY.model_copy(update={"test_area": tmp_path / "east.geojson"})
    folder = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=options)
    index = open_chips(folder).index
    assert set(index.loc[index["split"] == "test", "col"]) == {64, 96}
    assert set(index.loc[index["col"] >= 64, "split"]) == {"test"}


def test_a_split_that_leaves_nothing_to_train_on_is_refused(
    tmp_path: Path, scene: SmallScene, labels: Path
) -> None:
    options = TINY.model_copy(update={"buffer": 500})
    with pytest.raises(ChipsError, match=r"cannot be split.*--buffer"):
        geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=options)


def test_defaults_find_a_split_for_a_small_scene_and_say_so(
    tmp_path: Path, scene: SmallScene, labels: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="geoseg"):
        folder = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME)
    spec, index = open_chips(folder).spec, open_chips(folder).index
    assert spec.size == 32  # 96 x 128 px give 12 chips of the smallest size
    assert (spec.block, spec.buffer) == (64, 0)
    assert {"train", "val", "test"} <= set(index["split"])
    assert "buffer 0 px: a buffer of 96 px leaves too few training chips" in caplog.text


def test_a_large_scene_keeps_the_full_buffer(tmp_path: Path, make_raster: MakeRaster) -> None:
    rng = np.random.default_rng(1)
    path = make_raster(tmp_path / "large.tif", rng.integers(1, 99, (1, 640, 1024), dtype=np.uint8))
    truth = make_raster(tmp_path / "truth.tif", rng.integers(0, 2, (640, 1024), dtype=np.uint8))
    scheme = ClassScheme.model_validate(
        {"classes": [{"name": name, "color": "#000000"} for name in "ab"]}
    )
    spec = open_chips(geoseg.tile(path, truth, tmp_path / "chips", classes=scheme)).spec
    assert (spec.size, spec.buffer) == (64, 128)  # 160 chips of 64 px; a chip and a halo of 64


def test_a_folder_that_is_no_chip_set_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ChipsError, match="geoseg tile"):
        open_chips(tmp_path)


def test_a_train_on_one_class_is_refused(tmp_path: Path, scene: SmallScene, labels: Path) -> None:
    one = ClassScheme.model_validate(
        {"classes": [{"name": "building", "color": "#d7191c", "values": "*"}]}
    )
    chips = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=one, options=TINY)
    with pytest.raises((ChipsError, ModelError), match="two classes"):
        geoseg.train(chips, tmp_path / "model")
