"""The files of a chip set: nothing torn, edited or foreign is trained on; exports hold the same."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio
from pycocotools.coco import COCO
from small_scene import SCHEME, TINY, SmallScene

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ChipsError

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")  # pycocotools'


@pytest.fixture
def copy(chips: Path, tmp_path: Path) -> Path:
    return shutil.copytree(chips, tmp_path / "chips")


@pytest.mark.parametrize("name", ["images.npy", "valid.npy", "labels.npy"])
def test_a_torn_array_is_refused(copy: Path, name: str) -> None:
    data = (copy / name).read_bytes()
    for torn in (data[:-1], data[: len(data) // 2], data[:40], b"", data + b"\0"):
        (copy / name).write_bytes(torn)
        with pytest.raises(ChipsError, match="chips"):
            open_chips(copy)


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("labels.npy", np.zeros((12, 32, 32), np.uint16)),
        ("labels.npy", np.zeros((11, 32, 32), np.uint8)),
        ("labels.npy", np.zeros((32, 32, 12), np.uint8).T),
        ("valid.npy", np.zeros((12, 32, 32), np.uint8)),
        ("images.npy", np.zeros((12, 3, 32, 32), np.int16)),
    ],
)
def test_an_array_of_another_kind_is_refused(
    copy: Path, name: str, array: np.ndarray[Any, Any]
) -> None:
    np.save(copy / name, array)
    with pytest.raises(ChipsError, match=rf"{name}: is torn, or does not belong"):
        open_chips(copy)


def test_an_array_of_python_objects_is_never_unpickled(copy: Path) -> None:
    class Bomb:
        def __reduce__(self) -> tuple[Any, ...]:
            return pytest.fail, ("code from a file ran",)

    objects = np.empty((12, 32, 32), dtype=object)
    objects[:] = Bomb()
    np.save(copy / "labels.npy", objects, allow_pickle=True)
    with pytest.raises(ChipsError, match="does not belong"):
        open_chips(copy)


def test_an_edited_byte_stops_training(copy: Path, tmp_path: Path) -> None:
    with (copy / "labels.npy").open("r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x01")
    open_chips(copy)
    with pytest.raises(ChipsError, match=r"labels\.npy: has changed since geoseg tile wrote it"):
        geoseg.train(copy, tmp_path / "model", options=geoseg.TrainOptions(architecture="fcn"))
    (copy / "run.json").unlink()
    with pytest.raises(ChipsError, match="no record"):
        open_chips(copy).verify()


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("row", 7, "do not describe chips"), ("scene", 1, "do not describe chips"),
        ("col", -32, "do not describe chips"), ("pixels_0", 1025, "more pixels than chips"),
        ("pixels_1", -1, "more pixels than chips"),
    ],
)  # fmt: skip
def test_an_index_that_is_wrong_is_refused(
    copy: Path, column: str, value: int, message: str
) -> None:
    frame = gpd.read_file(copy / "chips.gpkg")
    frame.loc[11, column] = value
    (copy / "chips.gpkg").unlink()
    frame.to_file(copy / "chips.gpkg", layer="chips")
    with pytest.raises(ChipsError, match=message):
        open_chips(copy)


@pytest.mark.parametrize("name", ["chips.json", "chips.gpkg"])
def test_a_torn_description_is_refused(copy: Path, name: str) -> None:
    (copy / name).write_bytes((copy / name).read_bytes()[:100])
    with pytest.raises(ChipsError, match="not a chip directory"):
        open_chips(copy)


def test_the_index_has_the_valid_share_and_the_number_of_each_chip(chips: Path) -> None:
    opened = open_chips(chips)
    assert opened.index["chip"].tolist() == list(range(12))
    assert opened.index["valid"].tolist() == opened.valid.mean(axis=(1, 2)).round(4).tolist()
    assert opened.index["valid"].min() == pytest.approx(1 - 16 * 24 / 1024, abs=1e-4)


def test_exported_geotiffs_lie_where_the_scene_does(
    copy: Path,
    scene: SmallScene,
    labels: Path,
) -> None:
    options = TINY.model_copy(update={"export": "geotiff"})
    geoseg.tile(scene.path, labels, copy, classes=SCHEME, options=options)
    opened = open_chips(copy)
    for split in ("train", "val", "test"):
        files = sorted((copy / "geotiff" / "images" / split).iterdir())
        assert [int(path.stem) for path in files] == opened.positions(split).tolist()
        for path in files:
            chip = int(path.stem)
            row, col = opened.index.loc[chip, ["row", "col"]]
            with rasterio.open(path) as image:
                assert image.crs.to_epsg() == 32633
                assert (image.transform.c, image.transform.f) == (
                    500_000 + col / 2, 5_000_000 - row / 2,
                )  # fmt: skip
                assert np.array_equal(image.read(), opened.images[chip])
                assert np.array_equal(image.dataset_mask() > 0, opened.valid[chip])
            with rasterio.open(copy / "geotiff" / "labels" / split / path.name) as truth:
                assert np.array_equal(truth.read(1), opened.labels[chip])
                assert truth.colormap(1)[1] == (0xD7, 0x19, 0x1C, 255)
                assert truth.nodata == 255


def test_exported_coco_gives_back_every_pixel_of_every_class(
    copy: Path,
    scene: SmallScene,
    labels: Path,
) -> None:
    """As pycocotools reads it: polygons without holes, run-length encodings with them."""
    options = TINY.model_copy(update={"export": "coco"})
    geoseg.tile(scene.path, labels, copy, classes=SCHEME, options=options)
    opened = open_chips(copy)
    for split in ("train", "val", "test"):
        coco = COCO(copy / "coco" / f"{split}.json")
        assert [each["name"] for each in coco.loadCats(coco.getCatIds())] == ["land", "building"]
        assert coco.getImgIds() == opened.positions(split).tolist()
        for chip in coco.getImgIds():
            assert (copy / "coco" / coco.imgs[chip]["file_name"]).is_file()
            drawn = np.full((32, 32), 255, np.uint8)
            for one in coco.imgToAnns[chip]:
                mask = coco.annToMask(one).astype(bool)
                assert (drawn[mask] == 255).all()
                drawn[mask] = one["category_id"]
                rows, cols = np.nonzero(mask)
                assert one["area"] == mask.sum()
                assert one["bbox"] == [
                    cols.min(), rows.min(), np.ptp(cols) + 1, np.ptp(rows) + 1,
                ]  # fmt: skip
            assert np.array_equal(drawn, opened.labels[chip])


def test_a_region_with_a_hole_is_run_length_encoded(tmp_path: Path, make_raster: Any) -> None:
    """A building of 20 x 30 px in each 96 x 128 px chip leaves a hole in the land around it."""
    truth = np.zeros((192, 128), np.uint8)
    truth[30:50, 40:70] = truth[126:146, 40:70] = 1
    pixels = np.random.default_rng(0).integers(1, 99, (1, 192, 128), dtype=np.uint8)
    scene = make_raster(tmp_path / "scene.tif", pixels)
    make_raster(tmp_path / "truth.tif", truth)
    scheme = SCHEME.model_copy(update={"column": None})
    scheme = type(scheme).model_validate(
        {"classes": [{"name": n, "color": "#000000"} for n in ("land", "building")]}
    )
    options = geoseg.TileOptions(size=96, block=96, buffer=0, val=0.3, test=0, export="coco")
    folder = geoseg.tile(
        scene, tmp_path / "truth.tif", tmp_path / "chips", classes=scheme, options=options
    )
    content = json.loads((folder / "coco" / "train.json").read_text(encoding="utf-8"))
    land = next(a for a in content["annotations"] if a["category_id"] == 0 and a["area"] > 5000)
    assert land["area"] == 96 * 96 - 20 * 30
    assert land["segmentation"]["size"] == [96, 96]
    coco = COCO(folder / "coco" / "train.json")
    mask = coco.annToMask(coco.anns[land["id"]])
    assert mask.sum() == land["area"]
    assert not mask[30:50, 40:70].any()
    building = next(a for a in content["annotations"] if a["category_id"] == 1)
    assert building["segmentation"] == [[40, 30, 40, 50, 70, 50, 70, 30]]


def test_an_export_goes_when_the_chips_change(
    copy: Path,
    scene: SmallScene,
    labels: Path,
) -> None:
    options = TINY.model_copy(update={"export": "geotiff"})
    geoseg.tile(scene.path, labels, copy, classes=SCHEME, options=options)
    before = (copy / "run.json").read_bytes()
    geoseg.tile(scene.path, labels, copy, classes=SCHEME, options=TINY)
    assert (copy / "run.json").read_bytes() == before
    assert (copy / "geotiff").is_dir()
    other = TINY.model_copy(update={"seed": 1})
    geoseg.tile(scene.path, labels, copy, classes=SCHEME, options=other)
    assert not (copy / "geotiff").exists()
