"""Training: a model directory that says what it was made for, and can be gone on with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
import rasterio
import torch
from networks import spec_for
from safetensors.torch import load_file
from small_scene import SCHEME, TINY, MakeRaster, SmallScene
from trainings import EVERY, Killed

import geoseg
from geoseg.chips import open_chips
from geoseg.errors import ChipsError, ConfigError, ModelError
from geoseg.files import sha256
from geoseg.models.architectures import Trainable
from geoseg.models.fit.schedules import schedule, weight_average
from geoseg.models.fit.torchgeo_task import MapTask
from geoseg.models.fit.training_settings import Schedule, TrainingSettings
from geoseg.models.networks.build import build, halo_of, stride_of
from geoseg.models.saved.model_files import save_model
from geoseg.models.saved.spec import read_spec
from geoseg.steps.train import TrainOptions, fit_network
from geoseg.steps.train.fit_network import _class_weights
from geoseg.steps.train.tuning import tuned

QUICK = geoseg.TrainOptions(architecture="fcn", epochs=2, batch=4)
ONE_EPOCH = QUICK.model_copy(update={"epochs": 1})


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
        "curves.png", "examples.png", "metrics.csv", "model.safetensors", "run.json", "spec.json",
    ]  # fmt: skip
    assert not list(model.rglob("*.ckpt"))


def test_a_bright_building_is_learned_in_two_epochs(
    model: Path, scene: SmallScene, tmp_path: Path
) -> None:
    (folder,) = geoseg.predict(scene.path, model, tmp_path / "map")
    with rasterio.open(folder / "classes.tif") as dataset:
        mapped = dataset.read(1)
    assert (mapped == scene.classes).mean() > 0.97


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Epochs of five steps, which are enough where nothing has to be learned."""
    monkeypatch.setattr(fit_network, "STEPS_PER_EPOCH", 5)


@pytest.mark.usefixtures("few_steps")
def test_the_same_seed_gives_the_same_weights(chips: Path, tmp_path: Path) -> None:
    one, again, other = (
        geoseg.train(chips, tmp_path / name, options=ONE_EPOCH.model_copy(update={"seed": seed}))
        for name, seed in (("one", 0), ("again", 0), ("other", 1))
    )
    assert sha256(again / "model.safetensors") == sha256(one / "model.safetensors")
    assert sha256(other / "model.safetensors") != sha256(one / "model.safetensors")


WAYS: dict[str, dict[str, Any]] = {
    "plain": {},
    "averaged": {"ema": 0.9},
    "accumulated, cosine": {"accumulate": 3, "schedule": "cosine"},
    "hard chips": {"sampling": "hard"},
    "with dropout, found rate": {"architecture": "segformer", "lr": "auto"},
    "stopped early": {"patience": 1, "lr": 1e-9, "schedule": "constant"},
}


@pytest.mark.slow
@pytest.mark.parametrize("way", WAYS)
def test_a_killed_training_goes_on_to_the_same_weights_and_the_same_curve(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    monkeypatch.setattr(fit_network, "STEPS_PER_EPOCH", 6)
    options = QUICK.model_copy(update={"epochs": 4, **WAYS[way]})
    whole = geoseg.train(chips, tmp_path / "whole", options=options)
    rows = (whole / "metrics.csv").read_text().splitlines()[1:]
    steps: list[int] = []
    step = MapTask.training_step

    def dies(self: MapTask, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        steps.append(self.current_epoch)
        if len(steps) in (3, 12, 22):
            raise Killed
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MapTask, "training_step", dies)
    for _ in range(min(3, len(rows))):
        with pytest.raises(Killed):
            geoseg.train(chips, tmp_path / "killed", options=options)
    assert not (tmp_path / "killed" / "spec.json").exists()
    resumed = geoseg.train(chips, tmp_path / "killed", options=options)
    for name in ("metrics.csv", "model.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name
    assert read_spec(whole) == read_spec(resumed)


@pytest.mark.slow
@pytest.mark.usefixtures("few_steps")
def test_a_training_that_had_stopped_early_does_not_go_on(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = QUICK.model_copy(update={"patience": 1, "lr": 1e-9, "schedule": "constant"})
    options = options.model_copy(update={"epochs": 9})
    whole = geoseg.train(chips, tmp_path / "whole", options=options)
    rows = (whole / "metrics.csv").read_text().splitlines()[1:]
    assert len(rows) < 9
    with monkeypatch.context() as patch:
        patch.setattr("geoseg.steps.train.fit_network.save_model", _dies)
        with pytest.raises(Killed):
            geoseg.train(chips, tmp_path / "killed", options=options)
    resumed = geoseg.train(chips, tmp_path / "killed", options=options)
    assert (whole / "metrics.csv").read_bytes() == (resumed / "metrics.csv").read_bytes()
    assert sha256(whole / "model.safetensors") == sha256(resumed / "model.safetensors")


def _dies(*_: object) -> None:
    raise Killed


@pytest.mark.usefixtures("few_steps")
def test_a_moving_average_of_the_weights_is_what_is_saved(chips: Path, tmp_path: Path) -> None:
    plain, averaged = (
        geoseg.train(chips, tmp_path / str(ema), options=ONE_EPOCH.model_copy(update={"ema": ema}))
        for ema in (0.0, 0.99)
    )
    assert sha256(averaged / "model.safetensors") != sha256(plain / "model.safetensors")
    first, other = ((each / "metrics.csv").read_text().split("\n") for each in (plain, averaged))
    assert first[1].split(",")[:3] == other[1].split(",")[:3], "training itself is the same"
    assert first[1] != other[1], "validation is that of the average"


def test_the_average_of_the_first_steps_forgets_random_weights() -> None:
    mean = weight_average(0.9)._kwargs["avg_fn"]
    assert mean(torch.tensor(0.0), torch.tensor(1.0), 1) == pytest.approx(1 - 2 / 11)
    assert mean(torch.tensor(0.0), torch.tensor(1.0), 10_000) == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("name", "rates"),
    [
        ("constant", {0: 1.0, 50: 1.0, 99: 1.0}),
        ("cosine", {0: 0.01, 5: 1.0, 52: 0.512, 99: 0.0003}),
        ("one-cycle", {0: 0.04, 29: 1.0, 99: 0.0}),
    ],
)
def test_schedules_rise_and_fall(name: Schedule, rates: dict[int, float]) -> None:
    weights = torch.nn.Linear(1, 1)
    optimizer = torch.optim.AdamW(weights.parameters(), lr=1.0)
    found = schedule(name, optimizer, 100)
    for step in range(100):
        if step in rates:
            assert found.get_last_lr()[0] == pytest.approx(rates[step], abs=0.005), step
        optimizer.step()
        found.step()


@pytest.mark.slow
def test_a_learning_rate_can_be_found(
    chips: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = ONE_EPOCH.model_copy(update={"lr": "auto"})
    with caplog.at_level("INFO", logger="geoseg"):
        geoseg.train(chips, tmp_path / "model", options=options)
    (found,) = [r.args for r in caplog.records if r.msg.startswith("learning rate")]
    assert 1e-5 <= found[0] <= 1e-2  # type: ignore[index, operator]


@pytest.mark.slow
@pytest.mark.usefixtures("few_steps")
def test_all_folds_of_the_chips_make_one_model_that_averages(
    scene: SmallScene,
    labels: Path,
    tmp_path: Path,
) -> None:
    in_two = TINY.model_copy(update={"folds": 2})
    chips = geoseg.tile(scene.path, labels, tmp_path / "chips", classes=SCHEME, options=in_two)
    options = ONE_EPOCH.model_copy(update={"fold": "all"})
    folder = geoseg.train(chips, tmp_path / "model", options=options)
    spread = json.loads((folder / "folds.json").read_text(encoding="utf-8"))
    assert len(spread["val_miou"]) == 2
    fp32 = geoseg.PredictOptions(engine="torch", precision="fp32")
    (land_map,) = geoseg.predict(scene.path, folder, tmp_path / "map", options=fp32)
    one, other = folder / "fold-1", folder / "fold-2"
    assert sha256(one / "model.safetensors") != sha256(other / "model.safetensors")
    (both,) = geoseg.predict(scene.path, [one, other], tmp_path / "both", options=fp32)
    assert sha256(land_map / "classes.tif") == sha256(both / "classes.tif")


def test_chips_without_folds_are_not_trained_on_fold_by_fold(chips: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipsError, match=r"has no folds.*--folds"):
        geoseg.train(chips, tmp_path / "m", options=QUICK.model_copy(update={"fold": "all"}))


def test_tuning_without_optuna_says_what_to_install(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("geoseg.steps.train.tuning.find_spec", lambda _: None)
    options = QUICK.model_copy(update={"tune": 2})
    with pytest.raises(ConfigError, match=r"geoseg\[tune\]"):
        geoseg.train(chips, tmp_path / "model", options=options)


def test_tuning_takes_the_best_trial_and_repeats_none(tmp_path: Path) -> None:
    pytest.importorskip("optuna")
    tried: list[float] = []

    def score(options: geoseg.TrainOptions, place: Path) -> float:
        assert options.epochs == 10
        tried.append(float(options.lr))
        if len(tried) == 5:
            raise Killed
        return -abs(np.log10(float(options.lr)) + 3)

    options = geoseg.TrainOptions(tune=8, epochs=40)
    with pytest.raises(Killed):
        tuned(options, score, tmp_path)
    found = tuned(options, score, tmp_path)
    assert len(tried) == 9
    assert tried[4] == tried[5]
    assert found.lr == min(tried, key=lambda lr: abs(np.log10(lr) + 3))
    assert (found.epochs, found.tune) == (40, 8)


def test_an_unchanged_training_is_skipped(
    model: Path, chips: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fit_network, "fit", lambda *_: pytest.fail("was trained again"))
    assert geoseg.train(chips, model, options=QUICK) == model


def test_rare_classes_weigh_more_and_absent_ones_nothing() -> None:
    assert _class_weights((300, 100, 0), "none") == (1.0, 1.0, 0.0)
    even = 400 / 3
    assert _class_weights((300, 100, 0), "balanced") == pytest.approx((even / 300, even / 100, 0))
    assert _class_weights((300, 100, 0), "sqrt") == pytest.approx(
        ((even / 300) ** 0.5, (even / 100) ** 0.5, 0)
    )
    assert _class_weights((10**9, 1), "balanced")[1] == 10.0


def test_flips_and_turns_move_image_and_mask_together() -> None:
    settings = TrainingSettings(mean=(0.0,), std=(1.0,), classes=3, class_weights=(1.0,) * 3)
    task = MapTask(build("fcn", "", 1, 3), settings, 1e-3)
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


def test_every_architecture_is_tried() -> None:
    named = set(get_args(TrainOptions.model_fields["architecture"].annotation))
    assert named == {name for name, _ in EVERY} | {"forest", "svm", "threshold"}
    assert named == set(get_args(Trainable))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "backbone", "bands"),
    [
        pytest.param(*each, bands, marks=[] if bands == 4 or each == EVERY[0] else pytest.mark.long)
        for each in EVERY
        for bands in (1, 4, 12)
    ],
)
def test_every_architecture_takes_a_step_and_maps_a_scene(
    architecture: str, backbone: str, bands: int, tmp_path: Path, make_raster: MakeRaster
) -> None:
    network = build(architecture, backbone, bands, 2)  # type: ignore[arg-type]
    names = tuple(f"b{number}" for number in range(1, bands + 1))
    spec = spec_for(names, stride=stride_of(network), halo=halo_of(network)).model_copy(
        update={"architecture": architecture, "backbone": backbone, "window": 96}
    )
    side = 2 * stride_of(network) if stride_of(network) > 1 else 40
    image = torch.randn(2, bands, side, side)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.01)
    before = [p.clone() for p in network.parameters()]
    truth = torch.randint(0, 2, (2, side, side))
    torch.nn.functional.cross_entropy(network(image), truth).backward()
    optimizer.step()
    assert any(not torch.equal(a, b) for a, b in zip(before, network.parameters(), strict=True))
    assert network.eval()(image[..., : side // 2]).shape == (2, 2, side, side // 2)
    assert halo_of(network) % stride_of(network) == 0
    save_model(tmp_path / "model", network, spec)
    pixels = np.random.default_rng(bands).integers(600, 1400, (bands, 80, 112), dtype=np.uint16)
    scene = make_raster(tmp_path / "scene.tif", pixels)
    options = geoseg.PredictOptions(engine="torch", precision="fp32")
    (folder,) = geoseg.predict(scene, tmp_path / "model", tmp_path / "map", options=options)
    with rasterio.open(folder / "classes.tif") as dataset:
        assert dataset.shape == (80, 112)
        assert set(np.unique(dataset.read(1))) <= {0, 1}


def test_metrics_are_a_table_of_epochs(model: Path) -> None:
    header, *rows = (model / "metrics.csv").read_text(encoding="utf-8").splitlines()
    assert {"epoch", "lr", "train_loss", "val_loss", "val_miou"} <= set(header.split(","))
    assert [row.split(",")[0] for row in rows] == ["0", "1"]
    assert all(float(value) >= 0 for row in rows for value in row.split(","))
    counts = json.loads((model / "run.json").read_text(encoding="utf-8"))["counts"]
    assert counts["train"] + counts["val"] < 12


@pytest.mark.usefixtures("few_steps")
def test_training_starts_from_weights_and_says_so_in_the_spec(chips: Path, tmp_path: Path) -> None:
    torch.manual_seed(9)
    state = build("fcn", "", 3, 2).state_dict()
    torch.save(state, tmp_path / "own.pth")
    update = {"weights": str(tmp_path / "own.pth"), "lr": 1e-9}
    options = ONE_EPOCH.model_copy(update=update)
    model = geoseg.train(chips, tmp_path / "model", options=options)
    assert read_spec(model).origin == "own.pth"
    weights = load_file(model / "model.safetensors")
    torch.testing.assert_close(
        weights["backbone.0.weight"], state["backbone.0.weight"], atol=1e-5, rtol=0
    )
    record = json.loads((model / "run.json").read_text(encoding="utf-8"))
    assert any(each["path"].endswith("own.pth") for each in record["inputs"])
