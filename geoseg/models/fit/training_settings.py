"""How a network is fitted, as a value."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from geoseg.models.fit.names import Loss, Schedule


@dataclass(frozen=True)
class Recipe:
    """How to fit.

    Attributes:
        mean: of each band, to scale inputs.
        std: of each band.
        classes: number of classes.
        class_weights: weight of each class in the cross-entropy and the focal loss.
        loss: names of losses, joined by "+".
        label_smoothing: share of a pixel's label that is spread over all classes.
        lr: peak learning rate; "auto" finds one.
        schedule: how the learning rate goes through the training.
        accumulate: batches whose gradients are added up for one step of the optimizer.
        ema: decay of the moving average of the weights; 0 for none.
        epochs: at most.
        patience: epochs without a better validation mIoU before it stops.
        edges: weight of a second head's loss on class edges; 0 for none. It is thrown away.
        seed: of everything random.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    class_weights: tuple[float, ...]
    loss: Loss = "ce+dice"
    label_smoothing: float = 0.0
    lr: float | Literal["auto"] = 1e-3
    schedule: Schedule = "one-cycle"
    accumulate: int = 1
    ema: float = 0.0
    epochs: int = 60
    patience: int = 15
    edges: float = 0.0
    seed: int = 0
