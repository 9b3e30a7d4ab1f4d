"""How a network is fitted, as a value; it loads no torch, so that options can be built on it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Loss = Literal["ce+dice", "ce", "dice", "focal", "lovasz", "ce+lovasz", "tversky", "jaccard"]
Schedule = Literal["one-cycle", "cosine", "constant"]
Tuning = Literal["full", "frozen", "probe"]
Scaling = Literal["weights", "chips"]


@dataclass(frozen=True)
class TrainingSettings:
    """How to fit a network.

    Attributes:
        mean: mean of each band, subtracted from the pixels.
        std: standard deviation of each band, which the difference is divided by.
        classes: number of classes.
        class_weights: weight of each class in the cross-entropy and the focal loss.
        loss: names of losses, joined by "+".
        label_smoothing: fraction of a pixel's label that is spread over all classes.
        lr: peak learning rate; "auto" runs a short search.
        schedule: course of the learning rate.
        accumulate: batches whose gradients are summed for one step of the optimizer.
        ema: decay of the moving average of the weights; 0 for none.
        epochs: maximum number of epochs.
        patience: epochs without a better validation mIoU before training stops.
        edges: weight of the loss of an auxiliary head on class edges; 0 for none.
        seed: seed of everything random.
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
