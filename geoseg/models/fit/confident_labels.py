"""Pseudo-labels: the classes a network is confident of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geoseg.chips.chip_arrays import ChipArrays
from geoseg.classes import IGNORE
from geoseg.models.fit.chip_logits import chip_logits
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from geoseg.models.fit.training_settings import TrainingSettings


def confident_labels(
    images: Pixels,
    valid: Mask,
    *,
    network: nn.Module,
    settings: TrainingSettings,
    temperature: float,
    at_least: float,
) -> NDArray[np.uint8]:
    """Label chips where the most likely class is probable enough, 255 elsewhere.

    Chips are predicted whole, like those the temperature was fitted to: smaller windows would
    have other probabilities near their edges.

    Args:
        images: (chips, bands, size, size), as stored.
        valid: (chips, size, size).
        network: maps scaled pixels to logits.
        settings: mean and standard deviation of the bands.
        temperature: divisor of the logits.
        at_least: calibrated probability from which a class becomes the label.

    Returns:
        (chips, size, size) class ids, 255 where not confident or not valid.
    """
    labels = np.full(valid.shape, IGNORE, dtype=np.uint8)
    chips = ChipArrays(images, valid, labels, np.arange(len(images)))
    for at, logits in chip_logits(network, chips, settings):
        probability, ids = (logits.float() / temperature).softmax(dim=1).max(dim=1)
        confident = torch.where(probability >= at_least, ids, IGNORE).to(torch.uint8)
        labels[at] = np.where(valid[at], confident.cpu().numpy(), IGNORE)
    return labels
