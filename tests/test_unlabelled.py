"""Scenes without labels: pseudo-labels where the network is confident, never on held-out ground."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pytest
import rasterio.warp
import shapely
import torch
from affine import Affine
from conftest import NORTH_UP, SCHEME, TINY, MakeRaster, SmallScene
from numpy.typing import NDArray
from test_train import Killed
from torch import Tensor, nn

import geoseg
from geoseg.chips import ChipSet, open_chips
from geoseg.chips.pseudo_chips import added_pixels, with_pseudo_labels
from geoseg.chips.unlabelled_areas import UnlabelledAreas, find_unlabelled_areas
from geoseg.cli import _main
from geoseg.config import load
from geoseg.errors import ChipsError, ConfigError, RasterError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.models.fit.confident_labels import confident_labels
from geoseg.models.fit.torchgeo_task import MapTask
from geoseg.models.fit.training_settings import TrainingSettings
from geoseg.models.saved.spec import read_spec
from geoseg.raster import FileSource
from geoseg.steps.train import fit_network, pseudo_labels
from geoseg.steps.train.unlabelled_scenes import open_unlabelled

ELSEWHERE = NORTH_UP @ Affine.translation(4000, 2000)
QUICK = geoseg.TrainOptions(architecture="fcn", epochs=3, batch=4)


@pytest.fixture(scope="module")
def chips(chips: Path) -> ChipSet:
    return open_chips(chips)


@pytest.fixture(scope="module")
def folder(chips: ChipSet) -> Path:
    return chips.folder


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """80 x 112 px 2 km away: land, a building of 1200 px, and 34 x 36 px without data."""
    rng = np.random.default_rng(11)
    pixels = rng.integers(800, 1200, (3, 80, 112), dtype=np.uint16)
    pixels[:, 36:66, 20:60] += 2000
    pixels[:, :34, :36] = 0
    path = tmp_path_factory.mktemp("far") / "far.tif"
    return make_raster(path, pixels, nodata=0, transform=ELSEWHERE)


def bright(images: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A building where it is bright, land where it is dark in even columns, else unsure."""
    found = np.where(images[:, 0] > 2000, 1, 255).astype(np.uint8)
    found[..., ::2] = np.where(found[..., ::2] == 1, 1, 0)
    return found


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


class Contrast(nn.Module):
    """Logits 0 and the first band."""

    def forward(self, image: Tensor) -> Tensor:
        return torch.cat([torch.zeros_like(image[:, :1]), image[:, :1]], dim=1)


def test_confidence_is_that_of_the_calibrated_network() -> None:
    images = np.array([[[[-4.0, -3.0, 1.0], [3.0, 4.0, 9.0]]]], dtype=np.float32)
    valid = np.ones((1, 2, 3), dtype=bool)
    valid[0, 1, 2] = False
    settings = TrainingSettings(mean=(0.0,), std=(1.0,), classes=2, class_weights=(1.0, 1.0))

    def found(temperature: float) -> list[list[int]]:
        rule = {"temperature": temperature, "at_least": 0.9}
        got = confident_labels(images, valid, network=Contrast(), settings=settings, **rule)  # type: ignore[arg-type]
        return got[0].tolist()

    # 1 / (1 + exp(-3)) is 0.953; at a temperature of 1.5, 0.881 and for 4, 0.935
    assert found(1.0) == [[0, 0, 255], [1, 1, 255]]
    assert found(1.5) == [[0, 255, 255], [255, 1, 255]]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    return geoseg.train(folder, tmp_path_factory.mktemp("work") / "plain", options=QUICK)


def counts_of(model: Path) -> dict[str, Any]:
    counts: dict[str, Any] = json.loads((model / "run.json").read_text(encoding="utf-8"))["counts"]
    return counts


def test_a_model_says_what_pseudo_labels_added_and_what_they_did(
    folder: Path, far: Path, plain: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = QUICK.model_copy(update={"unlabelled": (str(far),), "confidence": 0.8})
    with caplog.at_level(logging.INFO, logger="geoseg"):
        model = geoseg.train(folder, tmp_path / "model", options=options)
    metrics, counts = read_spec(model).metrics, counts_of(model)
    added = [metrics["pseudo_pixels_0"], metrics["pseudo_pixels_1"]]
    assert all(0 < count <= limit for count, limit in zip(added, (7736, 7736), strict=True))
    assert f"in pixels: land {added[0]:,.0f}, building {added[1]:,.0f}" in caplog.text
    before, after = metrics["val_miou_before"], metrics["val_miou_after"]
    assert before is not None
    assert after is not None
    assert metrics["val_miou"] == max(before, after)
    assert before == read_spec(plain).metrics["val_miou"]
    assert f"validation mIoU {before:.3f}, with pseudo-labels {after:.3f}" in caplog.text
    assert all(counts[name] == metrics[name] for name in metrics)
    same = sha256(model / "model.safetensors") == sha256(plain / "model.safetensors")
    assert same == (after <= before)
    record = json.loads((model / "run.json").read_text(encoding="utf-8"))
    assert any(each["path"].endswith("far.tif") for each in record["inputs"])
    assert not [each for each in model.iterdir() if each.name.startswith(".geoseg")]


def test_the_network_without_pseudo_labels_is_kept_where_they_do_not_help(
    folder: Path,
    far: Path,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def wrong(images: NDArray[Any], valid: NDArray[np.bool_], **_: object) -> NDArray[np.uint8]:
        return np.where(bright(images, valid) == 1, 0, 1).astype(np.uint8)

    monkeypatch.setattr(pseudo_labels, "confident_labels", wrong)
    options = QUICK.model_copy(update={"unlabelled": (str(far),)})
    with caplog.at_level(logging.INFO, logger="geoseg"):
        model = geoseg.train(folder, tmp_path / "model", options=options)
    assert "the model is the one without them" in caplog.text
    for name in ("model.safetensors", "metrics.csv"):
        assert sha256(model / name) == sha256(plain / name), name


def test_where_it_is_sure_of_nothing_the_network_stays(
    folder: Path, far: Path, plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unsure(_: NDArray[Any], valid: NDArray[np.bool_], **__: object) -> NDArray[np.uint8]:
        return np.full(valid.shape, 255, dtype=np.uint8)

    monkeypatch.setattr(pseudo_labels, "confident_labels", unsure)
    options = QUICK.model_copy(update={"unlabelled": (str(far),)})
    model = geoseg.train(folder, tmp_path / "model", options=options)
    assert sha256(model / "model.safetensors") == sha256(plain / "model.safetensors")
    metrics = read_spec(model).metrics
    assert (metrics["pseudo_pixels_0"], metrics["pseudo_pixels_1"]) == (0, 0)
    assert metrics["val_miou_after"] is None


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"ema": 0.9, "edges": 0.5, "sampling": "balanced"}])
def test_a_run_killed_in_either_fit_gives_the_same_weights(
    folder: Path, far: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setattr(fit_network, "STEPS_PER_EPOCH", 6)
    options = QUICK.model_copy(update={"unlabelled": (str(far),), "confidence": 0.7, **more})
    whole = geoseg.train(folder, tmp_path / "whole", options=options)
    steps: list[int] = []
    step = MapTask.training_step

    def dies(self: MapTask, batch: dict[str, Tensor], batch_idx: int) -> Tensor:
        steps.append(self.current_epoch)
        if len(steps) in (9, 28, 40):
            raise Killed
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MapTask, "training_step", dies)
    for fit in ("fit", "again", "again"):
        with pytest.raises(Killed):
            geoseg.train(folder, tmp_path / "killed", options=options)
        assert list((tmp_path / "killed").glob(f"*/{fit}/last.ckpt")), fit
    resumed = geoseg.train(folder, tmp_path / "killed", options=options)
    for name in ("metrics.csv", "model.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name
    assert read_spec(whole) == read_spec(resumed)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
def test_kill_9_in_both_fits_gives_the_weights_of_an_undisturbed_run(
    folder: Path, far: Path, tmp_path: Path
) -> None:
    whole, killed = tmp_path / "whole", tmp_path / "killed"

    def start(out: Path) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", "geoseg", "train", str(folder), "-o", str(out),
            "--architecture", "fcn", "--epochs", "6", "--batch", "4", "--confidence", "0.7",
            "--unlabelled", str(far),
        ]  # fmt: skip
        with out.with_suffix(".log").open("ab") as said:
            return subprocess.Popen(command, stdout=said, stderr=said)

    assert start(whole).wait() == 0, whole.with_suffix(".log").read_text()
    for fit in ("fit", "again"):
        with start(killed) as process:
            while not list(killed.glob(f"*/{fit}/last.ckpt")) and process.poll() is None:
                time.sleep(0.02)
            assert process.poll() is None, "it was over before it was killed"
            process.send_signal(signal.SIGKILL)
    assert start(killed).wait() == 0, killed.with_suffix(".log").read_text()
    for name in ("metrics.csv", "model.safetensors"):
        assert sha256(whole / name) == sha256(killed / name), name


@pytest.mark.slow
def test_every_fold_has_pseudo_labels_apart_from_its_own_held_out_chips(
    scene: SmallScene,
    labels: Path,
    tmp_path: Path,
) -> None:
    in_two = TINY.model_copy(update={"folds": 2})
    chips = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=in_two)
    given = {"unlabelled": (str(scene.path),), "confidence": 0.6, "fold": "all", "epochs": 1}
    model = geoseg.train(chips, tmp_path / "model", options=QUICK.model_copy(update=given))
    for fold in (1, 2):
        opened = open_chips(chips, fold)
        free = 12 - len(opened.positions("val")) - len(opened.positions("test"))
        counts = counts_of(model / f"fold-{fold}")
        assert 0 < counts["pseudo_pixels_0"] + counts["pseudo_pixels_1"] <= free * 32 * 32


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


@pytest.mark.parametrize("architecture", ["forest", "svm", "threshold"])
def test_models_of_single_pixels_take_no_pseudo_labels(
    folder: Path, far: Path, tmp_path: Path, architecture: str
) -> None:
    given = {"architecture": architecture, "unlabelled": (str(far),)}
    options = geoseg.TrainOptions.model_validate(given)
    with pytest.raises(ConfigError, match=rf"--unlabelled: does not apply.*{architecture}"):
        geoseg.train(folder, tmp_path / "model", options=options)


def test_the_command_line_takes_several_scenes_at_once(
    folder: Path, far: Path, tmp_path: Path
) -> None:
    scenes = [str(far), str(tmp_path / "none.tif")]
    arguments = ["train", str(folder), "-o", str(tmp_path / "model"), "--unlabelled", *scenes]
    assert _main([*arguments, "--architecture", "fcn"]) == 2


def test_a_pipeline_finds_unlabelled_scenes_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(
        "scenes: [a.tif]\nlabels: l.gpkg\nclasses: c.yaml\ntrain: {unlabelled: [more/*.tif]}\n"
    )
    plan = load(tmp_path / "p.yaml").rooted(tmp_path)
    assert plan.train.unlabelled == (str(tmp_path / "more/*.tif"),)
