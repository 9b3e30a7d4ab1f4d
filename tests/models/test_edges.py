"""Class edges as a second task: what an edge is, what it costs, and that only training knows it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from trainings import EVERY, Killed

import geoseg
from geoseg.errors import ConfigError
from geoseg.models.fit.torchgeo_task import MapTask
from geoseg.models.networks.build import build
from geoseg.models.networks.edge_head import EdgeHead, edge_loss, edges, features_of
from geoseg.models.saved.spec import read_spec
from geoseg.steps.train import fit_network

OPTIONS = geoseg.TrainOptions(architecture="fcn", epochs=3, batch=4, edges=0.5)


def test_an_edge_touches_another_class_and_what_is_ignored_makes_none() -> None:
    mask = torch.tensor(
        [
            [0, 0, 0, 0, 255, 2],
            [0, 0, 0, 0, 255, 2],
            [0, 0, 0, 1, 255, 255],
            [0, 0, 0, 0, 0, 0],
        ]
    )
    wanted = torch.tensor(
        [
            [0, 0, 0, 0, 0, 0],
            [0, 0, 1, 1, 0, 0],
            [0, 0, 1, 1, 0, 0],
            [0, 0, 1, 1, 1, 0],
        ]
    )
    assert torch.equal(edges(mask[None])[0], wanted.bool())


def test_edges_of_one_image_are_not_those_of_the_next() -> None:
    both = torch.stack([torch.zeros(3, 5, dtype=torch.long), torch.ones(3, 5, dtype=torch.long)])
    assert not edges(both).any()


def test_edges_weigh_as_much_as_all_the_rest() -> None:
    mask = torch.zeros(1, 2, 6, dtype=torch.long)
    mask[..., 5] = 1
    mask[..., 0] = 255
    scores = torch.where(edges(mask), 2.0, -1.0)
    missed, false = np.log1p(np.exp(-2.0)), np.log1p(np.exp(-1.0))
    assert float(edge_loss(scores, mask)) == pytest.approx((missed + false) / 2)
    scores[..., 0] = 50.0
    assert float(edge_loss(scores, mask)) == pytest.approx((missed + false) / 2)


def test_without_labels_edges_cost_nothing() -> None:
    scores = torch.randn(2, 4, 6, requires_grad=True)
    loss = edge_loss(scores, torch.full((2, 4, 6), 255))
    loss.backward()  # type: ignore[no-untyped-call]
    assert loss.item() == 0
    assert scores.grad is not None
    assert not scores.grad.any()


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "backbone"), EVERY)
def test_every_architecture_learns_edges_from_its_last_features(
    architecture: str, backbone: str
) -> None:
    net = build(architecture, backbone, 3, 2)  # type: ignore[arg-type]
    head, names = EdgeHead(net), set(net.state_dict())
    with features_of(net) as features:
        net(torch.randn(2, 3, 64, 96))
    mask = torch.zeros(2, 64, 96, dtype=torch.long)
    mask[:, :20] = 1
    head(features[-1], mask).backward()
    assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in net.parameters())
    net(torch.randn(2, 3, 64, 96))
    assert len(features) == 1, "nobody listens any more"
    assert set(net.state_dict()) == names


@pytest.mark.slow
def test_the_head_goes_and_the_model_is_laid_out_as_any_other(chips: Path, tmp_path: Path) -> None:
    model = geoseg.train(chips, tmp_path / "model", options=OPTIONS)
    plain = build("fcn", "", 3, 2).state_dict()
    weights = load_file(model / "model.safetensors")
    assert {n: w.shape for n, w in weights.items()} == {n: w.shape for n, w in plain.items()}
    assert sorted(p.name for p in model.iterdir() if p.is_file()) == [
        "curves.png", "examples.png", "metrics.csv", "model.safetensors", "run.json", "spec.json",
    ]  # fmt: skip
    header, *rows = (model / "metrics.csv").read_text(encoding="utf-8").splitlines()
    found = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    for name in ("train_loss", "train_edge_loss"):
        assert float(found[-1][name]) < float(found[0][name]), name
    assert json.loads((model / "run.json").read_text(encoding="utf-8"))["options"]["edges"] == 0.5


@pytest.mark.slow
@pytest.mark.parametrize("more", [{}, {"ema": 0.9, "accumulate": 2}], ids=["plain", "averaged"])
def test_a_killed_training_with_edges_goes_on_to_the_same_weights(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: dict[str, Any]
) -> None:
    monkeypatch.setattr(fit_network, "STEPS_PER_EPOCH", 6)
    options = OPTIONS.model_copy(update=more)
    whole = geoseg.train(chips, tmp_path / "whole", options=options)
    steps: list[int] = []
    step = MapTask.training_step

    def dies(self: MapTask, batch: dict[str, torch.Tensor], batch_idx: int) -> torch.Tensor:
        steps.append(self.current_epoch)
        if len(steps) == 9:
            raise Killed
        return step(self, batch, batch_idx)

    monkeypatch.setattr(MapTask, "training_step", dies)
    with pytest.raises(Killed):
        geoseg.train(chips, tmp_path / "killed", options=options)
    resumed = geoseg.train(chips, tmp_path / "killed", options=options)
    for name in ("metrics.csv", "model.safetensors"):
        assert (whole / name).read_bytes() == (resumed / name).read_bytes(), name
    assert read_spec(whole) == read_spec(resumed)


def test_where_nothing_below_the_last_layer_learns_edges_are_refused(
    chips: Path, tmp_path: Path
) -> None:
    options = OPTIONS.model_copy(update={"tuning": "probe", "architecture": "unet"})
    with pytest.raises(ConfigError, match=r"--edges.*--tuning probe"):
        geoseg.train(chips, tmp_path / "model", options=options)


def test_a_forest_has_no_second_head(chips: Path, tmp_path: Path) -> None:
    options = geoseg.TrainOptions(architecture="forest", edges=0.5)
    with pytest.raises(ConfigError, match=r"--edges: does not apply.*forest"):
        geoseg.train(chips, tmp_path / "model", options=options)
