"""Temperature scaling: one number that makes a model's confidence match how often it is right."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

if TYPE_CHECKING:
    from geoseg.chips.chip_arrays import ChipArrays

PIXELS = 1_000_000
"""At most. One parameter needs no more, and with 255 classes they still fit in 1 GiB."""
RANGE = 0.05, 20.0
"""Bounds of the temperature: outside of them all probabilities are 0 and 1, or all alike."""
BINS = 15
"""Guo et al. (2017) use 15; other counts are not comparable with published errors."""


@dataclass(frozen=True)
class Calibration:
    """A temperature and its effect.

    Attributes:
        temperature: divisor of the logits; above 1 where the model is overconfident.
        ece_before: expected calibration error of the pixels it was fitted to, without it.
        ece_after: the same, with it.
    """

    temperature: float
    ece_before: float
    ece_after: float


def calibrate(logits: Tensor, labels: Tensor) -> Calibration:
    """Fit a temperature to pixels the model was not trained on, and measure its effect.

    Args:
        logits: (pixels, classes) of validation chips.
        labels: (pixels,) int64 class ids.
    """
    temperature = fit_temperature(logits, labels)
    after = calibration_error(logits / temperature, labels)
    return Calibration(temperature, calibration_error(logits, labels), after)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """Find the temperature with the lowest negative log-likelihood (Guo et al., 2017).

    Args:
        logits: (pixels, classes).
        labels: (pixels,) int64 class ids.

    Returns:
        A number between 0.05 and 20; 1 without any pixels.
    """
    if not len(labels):
        return 1.0

    # searched on a log scale, where halving and doubling the temperature are steps of one size
    def loss(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / float(np.exp(log_temperature)), labels))

    low, high = np.log(RANGE)
    found = minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(found.x)), 4)


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Expected calibration error: the mean gap between confidence and accuracy over 15 bins.

    Args:
        logits: (pixels, classes).
        labels: (pixels,) int64 class ids.

    Returns:
        A fraction of 1; NaN without any pixels.
    """
    if not len(labels):
        return float("nan")
    found = multiclass_calibration_error(
        logits.softmax(dim=1), labels, num_classes=logits.shape[1], n_bins=BINS
    )
    return round(float(found), 6)


def pixels_per_chip(chips: ChipArrays) -> int:
    """How many labelled pixels of each chip calibration uses, at most."""
    return max(1, PIXELS // max(1, len(chips)))


def draw(labelled: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw at most ``count`` of the labelled pixels; their order stays."""
    if len(labelled) <= count:
        return labelled
    return np.sort(rng.choice(labelled, count, replace=False))
