"""From logits or probabilities to bytes: class ids, confidence, probabilities in percent."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

from geoseg.errors import ModelError
from geoseg.models.run.inference_settings import Confidence, InferenceSettings

STRIP = 16
"""Rows at a time on a CPU, so that intermediate results stay in its caches."""


def decide(logits: Tensor, temperature: float = 1.0) -> Tensor:
    """Find the most likely class and its softmax probability in percent.

    Args:
        logits: (classes, height, width).
        temperature: divisor of the logits; it changes the probability, never the class.

    Returns:
        (2, height, width) uint8.

    Raises:
        ModelError: a logit is not finite.
    """
    count = len(logits)
    result = torch.empty((2, *logits.shape[1:]), dtype=torch.uint8, device=logits.device)
    ranks = torch.arange(count, 0, -1, dtype=torch.uint8, device=logits.device)[:, None, None]
    rows = STRIP if logits.device.type == "cpu" else max(1, logits.shape[1])
    for row in range(0, logits.shape[1], rows):
        strip = logits[:, row : row + rows].contiguous()
        # at most 0, so exp() cannot overflow
        below = strip - strip.amax(dim=0)
        # the first of the largest; argmax on a CPU takes three times as long as all this
        result[0, row : row + rows] = count - (below == 0).view(torch.uint8).mul_(ranks).amax(dim=0)
        if temperature != 1:
            below.mul_(1 / temperature)
        total = below.exp_().sum(dim=0)
        # NaN and +inf among the logits end up in the sum; -inf is a probability of 0
        _require_finite(total)
        # the winner's own exp() is 1, so its probability is 1 / total
        result[1, row : row + rows] = (100 / total).round_()
    return result


def layers(probabilities: Tensor, settings: InferenceSettings) -> Tensor:
    """Make the layers the settings ask for.

    Args:
        probabilities: (classes, height, width), summing to 1.
        settings: measure of confidence, and whether each class gets a layer.

    Returns:
        (2, height, width) uint8, or (2 + classes, ...) with every class's probability in percent.

    Raises:
        ModelError: a probability is not finite.
    """
    _require_finite(probabilities)
    percent = (100 * _confidence(probabilities, settings.confidence)).round()
    found = [probabilities.argmax(dim=0).to(torch.uint8), percent.clamp(0, 100).to(torch.uint8)]
    if settings.probabilities:
        found += list((100 * probabilities).round().clamp(0, 100).to(torch.uint8))
    return torch.stack(found)


def _confidence(probabilities: Tensor, kind: Confidence) -> Tensor:
    """From 0 to 1, where 1 is certain."""
    if kind == "entropy":
        entropy: Tensor = torch.special.entr(probabilities).sum(dim=0)
        return 1 - entropy / log(max(2, len(probabilities)))
    if kind == "margin" and len(probabilities) > 1:
        two: Tensor = probabilities.topk(2, dim=0).values
        return two[0] - two[1]
    return probabilities.amax(dim=0)


def _require_finite(values: Tensor) -> None:
    if not torch.isfinite(values).all():
        raise ModelError("the network returned numbers that are not finite")
