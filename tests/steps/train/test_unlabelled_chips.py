"""Chips cut from scenes without labels: none on held-out ground."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio.warp
import shapely
from affine import Affine
from numpy.typing import NDArray
from small_scene import NORTH_UP, SCHEME, TINY, MakeRaster, SmallScene
from trainings import Killed
from unlabelled_scenes import ELSEWHERE, QUICK, bright, write_far_scene

import geoseg
from geoseg.chips import ChipSet, open_chips
from geoseg.chips.pseudo_chips import added_pixels, with_pseudo_labels
from geoseg.chips.unlabelled_areas import UnlabelledAreas, find_unlabelled_areas
from geoseg.errors import ChipsError, RasterError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.raster import FileSource
from geoseg.steps.train.unlabelled_scenes import open_unlabelled


@pytest.fixture(scope="module")
def chips(chips: Path) -> ChipSet:
    return open_chips(chips)


@pytest.fixture(scope="module")
def folder(chips: ChipSet) -> Path:
    return chips.folder


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    return write_far_scene(tmp_path_factory.mktemp("far"), make_raster)


def places(areas: UnlabelledAreas) -> set[tuple[int, int, int]]:
    return {(scene, row, col) for scene, each in areas.regions for row, col in each.tolist()}


def test_the_labelled_scene_itself_gives_all_but_its_held_out_chips(
    chips: ChipSet, scene: SmallScene, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, logger="geoseg"):
        areas = find_unlabelled_areas(chips, [FileSource(scene.path)])
    held = chips.index[chips.index["split"].isin(["val", "test"])]
    every = {(0, row, col) for row in (0, 32, 64) for col in (0, 32, 64, 96)}
    assert places(areas) == every - {(0, r, c) for r, c in held[["row", "col"]].to_numpy()}
    assert f"{len(held)} unlabelled chips overlap val and test chips or their buffer" in caplog.text
    assert "overlap of unlabelled chips with val and test: 0 m2" in caplog.text


def test_a_buffer_holds_for_chips_without_labels_too(
    tmp_path: Path,
    scene: SmallScene,
    labels: Path,
) -> None:
    options = TINY.model_copy(update={"buffer": 20, "test": 0.0, "val": 0.08})
    apart = open_chips(
        geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=options)
    )
    (held,) = apart.index[apart.index["split"] == "val"][["row", "col"]].to_numpy()
    areas = find_unlabelled_areas(apart, [FileSource(scene.path)])
    gaps = {(r, c): max(abs(r - held[0]), abs(c - held[1])) - 32 for _, r, c in places(areas)}
    assert gaps
    assert min(gaps.values()) >= 20


def test_ground_is_compared_across_zones(
    chips: ChipSet, folder: Path, scene: SmallScene, tmp_path: Path, make_raster: MakeRaster
) -> None:
    bounds = (500_000, 4_999_952, 500_064, 5_000_000)
    affine, width, height = rasterio.warp.calculate_default_transform(
        "EPSG:32633", "EPSG:32634", 128, 96, *bounds, resolution=0.5
    )
    other = make_raster(
        tmp_path / "zone.tif", np.ones((3, height, width), np.uint16), crs="EPSG:32634",
        transform=affine,
    )  # fmt: skip
    areas = find_unlabelled_areas(chips, [FileSource(other)])
    index = gpd.read_file(folder / "chips.gpkg").to_crs(32634)
    held = index[index["split"].isin(["val", "test"])].union_all()
    overlaps = {}
    for _, row, col in places(areas):
        x, y = affine @ (col, row)
        right, low = affine @ (min(col + 32, width), min(row + 32, height))
        overlaps[row, col] = shapely.box(x, low, right, y).intersection(held).area
    assert len(overlaps) > 3
    assert max(overlaps.values()) < 0.5 * 0.5, "less than a pixel"


def test_where_all_ground_is_held_out_there_is_nothing_to_learn(
    chips: ChipSet, tmp_path: Path, make_raster: MakeRaster
) -> None:
    at = chips.positions("val")[0]
    _, window = chips.place(int(at))
    inside = NORTH_UP @ Affine.translation(window.col + 4, window.row + 4)
    small = make_raster(tmp_path / "s.tif", np.ones((3, 16, 24), np.uint16), transform=inside)
    with pytest.raises(ChipsError, match=r"s\.tif.*val and test chips.*--unlabelled"):
        find_unlabelled_areas(chips, [FileSource(small)])


def test_training_chips_come_first_and_sure_pixels_follow(
    chips: ChipSet, far: Path, tmp_path: Path
) -> None:
    more = with_pseudo_labels(
        chips, find_unlabelled_areas(chips, [FileSource(far)]), bright, tmp_path
    )
    assert more is not None
    train = chips.positions("train")
    count = len(train)
    for name in ("images", "valid", "labels"):
        assert np.array_equal(getattr(more, name)[:count], getattr(chips, name)[train])
    assert set(more.index["split"]) == {"train"}
    assert len(more.index) == count + 12 - 1, "one chip has no data"
    with rasterio.open(far) as dataset:
        pixels = np.zeros((3, 96, 128), np.uint16)
        pixels[:, :80, :112] = dataset.read()
    for chip in range(count, len(more.index)):
        scene_number, window = more.place(chip)
        assert scene_number == 1
        here = pixels[:, *window.slices]
        real = (here > 0).all(axis=0)
        assert np.array_equal(more.valid[chip], real)
        assert np.array_equal(more.images[chip][:, real], here[:, real])
        wanted = np.where(real, bright(here[None], real[None])[0], 255)
        assert np.array_equal(more.labels[chip], wanted)
    land = (80 * 112 - 34 * 36 - 30 * 40) // 2
    assert added_pixels(chips, more) == [land, 30 * 40]
    known = [sum(each) for each in zip(chips.spec.pixels["train"], [land, 1200], strict=True)]
    assert more.spec.pixels == {"train": tuple(known)}


def test_copies_of_held_out_chips_are_left_out_wherever_they_claim_to_lie(
    chips: ChipSet, scene: SmallScene, tmp_path: Path, make_raster: MakeRaster
) -> None:
    moved = make_raster(tmp_path / "moved.tif", scene.pixels, nodata=0, transform=ELSEWHERE)
    areas = find_unlabelled_areas(chips, [FileSource(moved)])
    assert len(places(areas)) == 12
    more = with_pseudo_labels(chips, areas, bright, tmp_path / "work")
    assert more is not None
    held = len(chips.positions("val")) + len(chips.positions("test"))
    assert len(more.index) - len(chips.positions("train")) == 12 - held


def test_labelling_goes_on_where_it_stopped(
    chips: ChipSet, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geoseg.chips.unlabelled_areas.REGION_PX", 32)
    areas = find_unlabelled_areas(chips, [FileSource(far)])
    assert len(areas.regions) == 12
    calls: list[int] = []

    def dies(images: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
        calls.append(len(images))
        if len(calls) == 5:
            raise Killed
        return bright(images, valid)

    with pytest.raises(Killed):
        with_pseudo_labels(chips, areas, dies, tmp_path / "killed")
    resumed = with_pseudo_labels(chips, areas, dies, tmp_path / "killed")
    whole = with_pseudo_labels(chips, areas, bright, tmp_path / "whole")
    assert len(calls) == 12, "eleven chips have data, one was tried twice"
    assert resumed is not None
    assert whole is not None
    for name in ("images.npy", "valid.npy", "labels.npy", "chips.json"):
        assert sha256(resumed.folder / name) == sha256(whole.folder / name)
    assert not list((tmp_path / "killed").rglob("*.npz"))


def test_bands_are_found_by_name_and_read_as_the_labelled_ones_were(
    chips: ChipSet, far: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    with rasterio.open(far) as dataset:
        pixels = dataset.read()
    turned = make_raster(tmp_path / "turned.tif", pixels[[2, 0, 1]], transform=ELSEWHERE)
    with rasterio.open(turned, "r+") as dataset:
        dataset.descriptions = ("b3", "b1", "b2")
    (source,) = open_unlabelled(chips, [str(turned)])
    assert [band.name for band in source.bands] == ["b1", "b2", "b3"]
    window = Window(24, 8, 40, 56)
    assert np.array_equal(source.read(window).pixels, pixels[:, 24:64, 8:64])


@pytest.mark.parametrize(
    ("pixels", "profile", "match"),
    [
        (np.ones((2, 40, 48), np.uint16), {}, r"other bands than the labelled.*wanted b1, b2, b3"),
        (np.ones((3, 40, 48), np.int16), {}, r"another pixel type.*int16.*uint16"),
        (
            np.ones((3, 40, 48), np.uint16),
            {"transform": ELSEWHERE @ Affine.scale(2)},
            r"another pixel size.*1 m.*0\.5 m",
        ),
    ],
)
def test_scenes_unlike_the_labelled_ones_are_refused(
    folder: Path,
    tmp_path: Path,
    make_raster: MakeRaster,
    pixels: NDArray[Any],
    profile: dict[str, Any],
    match: str,
) -> None:
    path = make_raster(tmp_path / "other.tif", pixels, **{"transform": ELSEWHERE, **profile})
    options = QUICK.model_copy(update={"unlabelled": (str(path),)})
    with pytest.raises(ChipsError, match=match):
        geoseg.train(folder, tmp_path / "model", options=options)


def test_a_scene_that_is_not_there_is_said_before_training(folder: Path, tmp_path: Path) -> None:
    options = QUICK.model_copy(update={"unlabelled": (str(tmp_path / "none.tif"),)})
    with pytest.raises(RasterError, match=r"none\.tif"):
        geoseg.train(folder, tmp_path / "model", options=options)
