"""The course of the learning rate, and the moving average of the weights."""

from __future__ import annotations

from lightning.pytorch.callbacks import WeightAveraging
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    LRScheduler,
    OneCycleLR,
    SequentialLR,
)

from geoseg.models.fit.training_settings import Schedule

WARM_UP = 0.05
"""Fraction of the steps in which the cosine schedule rises to its peak. Adam's estimates of
variance rest on few gradients at first, and full steps would then go astray (Liu et al., 2020)."""


def schedule(name: Schedule, optimizer: Optimizer, steps: int) -> LRScheduler:
    """Make a learning-rate schedule over all steps of a training.

    Args:
        name: "one-cycle" (Smith and Topin, 2018); "cosine" (Loshchilov and Hutter, 2017), after a
            warm-up; or "constant".
        optimizer: its learning rate is the peak.
        steps: optimizer steps of the whole training.
    """
    if name == "constant":
        return ConstantLR(optimizer, factor=1.0)
    if name == "one-cycle":
        return OneCycleLR(optimizer, optimizer.param_groups[0]["lr"], total_steps=steps)
    warm = max(1, round(WARM_UP * steps))
    parts: list[LRScheduler] = [
        LinearLR(optimizer, 0.01, total_iters=warm),
        CosineAnnealingLR(optimizer, max(1, steps - warm)),
    ]
    return SequentialLR(optimizer, parts, milestones=[warm])


def weight_average(decay: float) -> WeightAveraging:
    """Make a callback that averages the weights; validation and the saved model use the average.

    The decay of step n is at most (1 + n) / (10 + n), as in TensorFlow's
    ExponentialMovingAverage: the random weights of the start would otherwise linger in the average.

    Args:
        decay: weight of the old average in the new one, from 0 to 1.
    """

    def mean(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        kept = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged * kept + current * (1 - kept)

    return WeightAveraging(avg_fn=mean)
