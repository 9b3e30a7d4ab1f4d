"""One number that makes a model's confidence say how often it is right."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics.functional.classification import multiclass_calibration_error

from geoseg.classes import IGNORE
from geoseg.models.run.network_predictors import scale

if TYPE_CHECKING:
    from geoseg.chips.chip_arrays import Samples
    from geoseg.models.fit.training_settings import Recipe

PIXELS = 1_000_000
"""At most; enough for one number, and they fit the memory with any number of classes."""
RANGE = 0.05, 20.0
BINS = 15
BATCH = 8


@dataclass(frozen=True)
class Calibration:
    """A temperature, and what it does.

    Attributes:
        temperature: what logits are divided by; above 1 where the model is too sure of itself.
        ece_before: expected calibration error of the pixels it was fitted to, without it.
        ece_after: with it.
    """

    temperature: float
    ece_before: float
    ece_after: float


def calibrate(logits: Tensor, labels: Tensor) -> Calibration:
    """Fit a temperature to pixels that the model has not learned from, and say what it does.

    Args:
        logits: (pixels, classes), of the validation blocks.
        labels: (pixels,).
    """
    temperature = fit_temperature(logits, labels)
    after = calibration_error(logits / temperature, labels)
    return Calibration(temperature, calibration_error(logits, labels), after)


def fit_temperature(logits: Tensor, labels: Tensor) -> float:
    """The temperature with the least negative log-likelihood (Guo et al., 2017).

    Args:
        logits: (pixels, classes).
        labels: (pixels,).

    Returns:
        Between 0.05 and 20; 1 without any pixels.
    """
    if not len(labels):
        return 1.0

    def cost(log_temperature: float) -> float:
        return float(functional.cross_entropy(logits / float(np.exp(log_temperature)), labels))

    low, high = np.log(RANGE)
    found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 1e-4})
    return round(float(np.exp(found.x)), 4)


def calibration_error(logits: Tensor, labels: Tensor) -> float:
    """Expected calibration error: how far confidence is from accuracy, on average over 15 bins.

    Args:
        logits: (pixels, classes).
        labels: (pixels,).

    Returns:
        A share of 1; NaN without any pixels.
    """
    if not len(labels):
        return float("nan")
    found = multiclass_calibration_error(
        logits.softmax(dim=1), labels, num_classes=logits.shape[1], n_bins=BINS
    )
    return round(float(found), 6)


def some_logits(network: nn.Module, samples: Samples, recipe: Recipe) -> tuple[Tensor, Tensor]:
    """Logits and labels of labelled pixels, about the same number from each chip.

    Returns:
        (pixels, classes) float32 and (pixels,) int64, on the CPU.
    """
    each, rng = share(samples), np.random.default_rng(0)
    found, known = [torch.empty(0, recipe.classes)], [torch.empty(0, dtype=torch.int64)]
    for at, logits in predictions(network, samples, recipe):
        labels = samples.labels[at].ravel()
        labelled = np.flatnonzero(labels != IGNORE)
        chosen = some(labelled, each * len(at), rng)
        found.append(logits.movedim(1, -1).reshape(-1, recipe.classes)[chosen].float().cpu())
        known.append(torch.from_numpy(labels[chosen].astype(np.int64)))
    return torch.cat(found), torch.cat(known)


@torch.no_grad()
def predictions(
    network: nn.Module, samples: Samples, recipe: Recipe
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """A few chips at a time: their positions, and logits (chips, classes, size, size)."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    for start in range(0, len(samples.positions), BATCH):
        at = samples.positions[start : start + BATCH]
        images = scale(samples.images[at], samples.valid[at], recipe.mean, recipe.std)
        yield at, network(images.to(device, memory_format=torch.channels_last))
    network.cpu()


def share(samples: Samples) -> int:
    """How many labelled pixels of each chip are enough."""
    return max(1, PIXELS // max(1, len(samples.positions)))


def some(labelled: NDArray[np.intp], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """At most so many of the labelled pixels, in order."""
    if len(labelled) <= count:
        return labelled
    return np.sort(rng.choice(labelled, count, replace=False))
