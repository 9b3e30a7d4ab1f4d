"""Training with pseudo-labels: kept where they help, resumed after kills, in every fold."""

from __future__ import annotations

import json
import logging
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from small_scene import SCHEME, TINY, MakeRaster, SmallScene
from torch import Tensor, nn
from trainings import EPOCHS_OF_SIX_STEPS, Killed
from unlabelled_scenes import QUICK, bright, write_far_scene

import geoseg
from geoseg.chips import ChipSet, open_chips
from geoseg.cli import _main
from geoseg.config import load
from geoseg.errors import ConfigError
from geoseg.files import sha256
from geoseg.models.fit.confident_labels import confident_labels
from geoseg.models.fit.torchgeo_task import MapTask
from geoseg.models.fit.training_settings import TrainingSettings
from geoseg.models.saved.spec import read_spec
from geoseg.steps.train import fit_network, pseudo_labels


@pytest.fixture(scope="module")
def chips(chips: Path) -> ChipSet:
    return open_chips(chips)


@pytest.fixture(scope="module")
def folder(chips: ChipSet) -> Path:
    return chips.folder


@pytest.fixture(scope="module")
def far(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    return write_far_scene(tmp_path_factory.mktemp("far"), make_raster)


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


@pytest.mark.slow
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


@pytest.mark.slow
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


@pytest.mark.slow
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
            sys.executable, *EPOCHS_OF_SIX_STEPS, "train", str(folder), "-o", str(out),
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
