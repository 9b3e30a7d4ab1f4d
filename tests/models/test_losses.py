"""Losses: by hand, blind to what is ignored, and never NaN."""

from __future__ import annotations

from math import log
from typing import get_args

import pytest
import torch
from torch.nn import functional

from geoseg.models.fit.losses import MapLoss
from geoseg.models.fit.training_settings import Loss

LOSSES = get_args(Loss)


def batch() -> tuple[torch.Tensor, torch.Tensor]:
    """Two images of 6 x 8 px with three classes; the last two columns are ignored."""
    generator = torch.Generator().manual_seed(4)
    logits = torch.randn(2, 3, 6, 8, generator=generator)
    labels = torch.randint(0, 3, (2, 6, 8), generator=generator)
    labels[:, :, 6:] = 255
    return logits, labels


@pytest.mark.parametrize("loss", LOSSES)
def test_ignored_pixels_change_neither_the_loss_nor_the_gradient(loss: Loss) -> None:
    logits, labels = batch()
    found = []
    for shift in (0.0, 9.0):
        changed = logits.clone()
        changed[:, 1, :, 6:] += shift
        changed.requires_grad_()
        value = MapLoss(loss, (1.0, 2.0, 0.5), 0.1)(changed, labels)
        value.backward()
        assert changed.grad is not None
        assert not changed.grad[..., 6:].any()
        found.append((value.detach(), changed.grad))
    assert torch.equal(found[0][0], found[1][0])
    assert torch.equal(found[0][1], found[1][1])
    assert found[0][0] > 0


@pytest.mark.parametrize("loss", LOSSES)
def test_a_batch_without_labels_costs_nothing_and_has_a_gradient_of_zero(loss: Loss) -> None:
    logits, labels = batch()
    logits.requires_grad_()
    value = MapLoss(loss, (1.0, 2.0, 0.5), 0.1)(logits, torch.full_like(labels, 255))
    value.backward()
    assert value == 0
    assert logits.grad is not None
    assert not logits.grad.any()


@pytest.mark.parametrize("loss", LOSSES)
def test_a_class_that_weighs_nothing_gives_no_nan(loss: Loss) -> None:
    logits, labels = batch()
    value = MapLoss(loss, (1.0, 1.0, 0.0), 0.0)(logits, torch.where(labels == 255, 255, 2))
    assert torch.isfinite(value)


@pytest.mark.parametrize("loss", LOSSES)
def test_a_right_answer_costs_less_than_a_wrong_one(loss: Loss) -> None:
    labels = batch()[1]
    right = 16 * functional.one_hot(labels.clamp(max=2), 3).movedim(-1, 1).float() - 8
    criterion = MapLoss(loss, (1.0,) * 3, 0.0)
    assert criterion(right, labels) < 0.1 < criterion(right.roll(1, dims=1), labels)


def test_cross_entropy_is_that_of_torch_with_weights_and_smoothing() -> None:
    logits, labels = batch()
    weights = (0.5, 2.0, 1.0)
    wanted = functional.cross_entropy(
        logits, labels, torch.tensor(weights), ignore_index=255, label_smoothing=0.1
    )
    assert MapLoss("ce", weights, 0.1)(logits, labels) == pytest.approx(float(wanted), rel=1e-5)


def test_even_odds_cost_what_they_do_by_hand() -> None:
    """Probability 1/2 everywhere, one pixel of class 0 and three of class 1."""
    logits, labels = torch.zeros(1, 2, 1, 4), torch.tensor([[[0, 1, 1, 1]]])

    def cost(loss: Loss) -> float:
        return float(MapLoss(loss, (1.0, 1.0), 0.0)(logits, labels))

    assert cost("ce") == pytest.approx(log(2))
    assert cost("focal") == pytest.approx(log(2) / 4)
    # class 0: TP 0.5, FP 1.5, FN 0.5; class 1: TP 1.5, FP 0.5, FN 1.5
    assert cost("dice") == pytest.approx(1 - (1 / 3 + 3 / 5) / 2)
    assert cost("jaccard") == pytest.approx(1 - (0.5 / 2.5 + 1.5 / 3.5) / 2)
    assert cost("tversky") == pytest.approx(
        1 - (0.5 / (0.5 + 0.3 * 1.5 + 0.7 * 0.5) + 1.5 / (1.5 + 0.3 * 0.5 + 0.7 * 1.5)) / 2
    )
    assert cost("lovasz") == pytest.approx(0.5)
    assert cost("ce+dice") == pytest.approx(cost("ce") + cost("dice"))


def test_half_precision_logits_are_summed_in_full() -> None:
    logits, labels = batch()
    value = MapLoss("ce+dice", (1.0,) * 3, 0.0)(logits.bfloat16(), labels)
    assert value.dtype == torch.float32


def test_gradients_that_move_no_weight_are_zero_and_nan_is_kept() -> None:
    """Cross-entropy pulls a wrong class down by its probability: exp(-40) is 4e-18, exp(-90) 8e-40.

    The latter is subnormal: with such a gradient a backward pass took 50 times as long.
    """
    logits = torch.tensor([[0.0, 0.0], [40.0, 90.0]])[None, :, None].requires_grad_()
    MapLoss("ce", (1.0, 1.0), 0.0)(logits, torch.ones(1, 1, 2, dtype=torch.long)).backward()
    assert logits.grad is not None
    wrong = logits.grad[0, 0, 0].tolist()
    assert wrong == [pytest.approx(4.248e-18 / 2, rel=1e-3), 0.0]

    logits = torch.tensor([[0.0], [torch.nan]])[None, :, None].requires_grad_()
    MapLoss("ce", (1.0, 1.0), 0.0)(logits, torch.ones(1, 1, 1, dtype=torch.long)).backward()
    assert logits.grad is not None
    assert logits.grad.isnan().all()
