"""Training: a model directory that says what it was made for, and can be gone on with."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from conftest import SmallScene
from test_chips import SCHEME, TINY, labels  # noqa: F401  (a fixture)

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ModelError
from geoseg.files import sha256
from geoseg.models import fit as fit_module
from geoseg.models.adapter import MapTask
from geoseg.models.networks import build, halo_of, stride_of
from geoseg.models.spec import read_spec
from geoseg.steps.train import _weights

QUICK = geoseg.TrainOptions(architecture="fcn", epochs=2, batch=4)


@pytest.fixture(scope="module")
def chips(
    tmp_path_factory: pytest.TempPathFactory,
    scene: SmallScene,
    labels: Path,  # noqa: F811
) -> Path:
    folder = tmp_path_factory.mktemp("work") / "chips"
    return geoseg.tile(scene.path, labels, folder, classes=SCHEME, options=TINY)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory, chips: Path) -> Path:
    return geoseg.train(chips, tmp_path_factory.mktemp("work") / "model", options=QUICK)


def test_a_model_carries_what_prediction_must_agree_on(model: Path, chips: Path) -> None:
    spec, made_from = read_spec(model), open_chips(chips).spec
    assert spec.bands == ("b1", "b2", "b3")
    assert spec.mean == tuple(band.mean for band in made_from.bands)
    assert spec.std == tuple(band.std for band in made_from.bands)
    assert spec.scheme == SCHEME
    assert (spec.dtype, spec.stride, spec.halo) == ("uint16", 1, 6)
    assert spec.gsd_m == pytest.approx(0.5, rel=1e-3)
    assert spec.weights_sha256 == sha256(model / "model.safetensors")
    assert sorted(p.name for p in model.iterdir() if p.is_file()) == [
        "metrics.csv", "model.safetensors", "run.json", "spec.json",
    ]  # fmt: skip
    assert not list(model.rglob("*.ckpt"))


def test_a_bright_building_is_learned_in_two_epochs(
    model: Path, scene: SmallScene, tmp_path: Path
) -> None:
    (folder,) = geoseg.predict(scene.path, model, tmp_path / "map")
    with rasterio.open(folder / "classes.tif") as dataset:
        mapped = dataset.read(1)
    assert (mapped == scene.classes).mean() > 0.97


def test_the_same_seed_gives_the_same_weights(model: Path, chips: Path, tmp_path: Path) -> None:
    again = geoseg.train(chips, tmp_path / "model", options=QUICK)
    assert sha256(again / "model.safetensors") == sha256(model / "model.safetensors")
    other = QUICK.model_copy(update={"seed": 1})
    different = geoseg.train(chips, tmp_path / "other", options=other)
    assert sha256(different / "model.safetensors") != sha256(model / "model.safetensors")


def test_a_killed_training_goes_on_from_its_last_epoch(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = QUICK.model_copy(update={"epochs": 3})
    whole = geoseg.train(chips, tmp_path / "whole", options=options)
    epochs: list[int] = []
    log_scores = MapTask._log_scores

    def dies_in_the_third(self: MapTask, phase: str) -> None:
        if phase == "train":
            epochs.append(self.current_epoch)
            if len(epochs) == 3:
                raise KeyboardInterrupt
        log_scores(self, phase)

    monkeypatch.setattr(MapTask, "_log_scores", dies_in_the_third)
    with pytest.raises(KeyboardInterrupt):
        geoseg.train(chips, tmp_path / "killed", options=options)
    assert not (tmp_path / "killed" / "spec.json").exists()

    def notes(self: MapTask, phase: str) -> None:
        epochs.append(self.current_epoch)
        log_scores(self, phase)

    monkeypatch.setattr(MapTask, "_log_scores", notes)
    resumed = geoseg.train(chips, tmp_path / "killed", options=options)
    assert 0 not in epochs[3:]
    assert epochs[-1] == 2
    metrics = [read_spec(folder).metrics["val_miou"] for folder in (whole, resumed)]
    assert metrics[0] == pytest.approx(metrics[1], abs=0.05)


def test_an_unchanged_training_is_skipped(
    model: Path, chips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_module, "fit", lambda *_: pytest.fail("was trained again"))
    assert geoseg.train(chips, model, options=QUICK) == model


def test_rare_classes_weigh_more_and_absent_ones_nothing() -> None:
    assert _weights((300, 100, 0), "none") == (1.0, 1.0, 0.0)
    even = 400 / 3
    assert _weights((300, 100, 0), "balanced") == pytest.approx((even / 300, even / 100, 0))
    assert _weights((300, 100, 0), "sqrt") == pytest.approx(
        ((even / 300) ** 0.5, (even / 100) ** 0.5, 0)
    )
    assert _weights((10**9, 1), "balanced")[1] == 10.0


def test_flips_and_turns_move_image_and_mask_together() -> None:
    task = MapTask(build("fcn", "", 1, 3), 3, "ce", (1.0,) * 3, 1e-3, True, ((0.0,), (1.0,)))
    task._trainer = type("T", (), {"training": True})()  # type: ignore[assignment]
    torch.manual_seed(0)
    mask = torch.randint(0, 3, (16, 32, 32))
    mask[:, :4] = 255
    image = mask[:, None].float()
    valid, chip = torch.ones_like(mask, dtype=torch.bool), torch.arange(16)
    batch = {"image": image, "valid": valid, "mask": mask.to(torch.uint8), "chip": chip}
    turned = task.on_after_batch_transfer(batch, 0)
    assert torch.equal(turned["image"][:, 0].long(), turned["mask"])
    assert not torch.equal(turned["mask"], mask)
    for before, after in zip(mask, turned["mask"], strict=True):
        assert np.array_equal(np.bincount(before.ravel()), np.bincount(after.ravel()))


def test_an_unknown_backbone_is_refused(chips: Path, tmp_path: Path) -> None:
    options = geoseg.TrainOptions(backbone="resnet-of-dreams")
    with pytest.raises(ModelError, match=r"resnet-of-dreams.*resnet18"):
        geoseg.train(chips, tmp_path / "model", options=options)


@pytest.mark.slow
@pytest.mark.parametrize("bands", [1, 4, 12])
@pytest.mark.parametrize(
    ("architecture", "backbone"),
    [
        ("unet", "resnet18"), ("unet", "tu-resnet10t"), ("deeplabv3+", "resnet18"), ("fcn", ""),
        ("upernet", "resnet18"), ("segformer", "resnet18"),
    ],
)  # fmt: skip
def test_every_architecture_takes_a_step_and_answers_pixel_by_pixel(
    architecture: str, backbone: str, bands: int
) -> None:
    network = build(architecture, backbone, bands, 5)  # type: ignore[arg-type]
    side = 2 * stride_of(network) if stride_of(network) > 1 else 40
    image = torch.randn(2, bands, side, side + stride_of(network))
    before = [p.clone() for p in network.parameters()]
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1)
    labels_ = torch.randint(0, 5, (2, *image.shape[2:]))
    torch.nn.functional.cross_entropy(network(image), labels_).backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert network.eval()(image).shape == (2, 5, *image.shape[2:])
    assert halo_of(network) % stride_of(network) == 0


def test_metrics_are_a_table_of_epochs(model: Path) -> None:
    header, *rows = (model / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert {"epoch", "train_loss", "val_loss", "val_miou"} <= set(header.split(","))
    assert len(rows) >= 4
    counts = json.loads((model / "run.json").read_text(encoding="utf-8"))["counts"]
    assert counts["train"] + counts["val"] < 12
