"""How the learning rate and the averaged weights go through a training."""

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

from geoseg.models.fit.names import Schedule

WARM_UP = 0.05
"""Share of the steps in which the cosine schedule comes up to its peak."""


def schedule(name: Schedule, optimizer: Optimizer, steps: int) -> LRScheduler:
    """A learning-rate schedule over all steps of a training.

    Args:
        name: "one-cycle" (Smith and Topin, 2018); "cosine" (Loshchilov and Hutter, 2017), after a
            warm-up; or "constant".
        optimizer: whose learning rate is the peak.
        steps: of the optimizer, in the whole training.
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


def average(decay: float) -> WeightAveraging:
    """A moving average of the weights, which validation and the saved model use.

    The first steps count less than ``decay`` says, or random weights would stay in it: the decay
    of step n is at most (1 + n) / (10 + n).

    Args:
        decay: share of the old average in the new one.
    """

    def mean(averaged: Tensor, current: Tensor, steps: Tensor | int) -> Tensor:
        share = min(decay, (1 + int(steps)) / (10 + int(steps)))
        return averaged * share + current * (1 - share)

    return WeightAveraging(avg_fn=mean)
