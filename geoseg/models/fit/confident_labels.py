"""The classes a network is sure of."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from geoseg.chips.chip_arrays import Samples
from geoseg.classes import IGNORE
from geoseg.models.fit.calibration import predictions
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from geoseg.models.fit.training_settings import Recipe


def confident(
    images: Pixels,
    valid: Mask,
    *,
    network: nn.Module,
    recipe: Recipe,
    temperature: float,
    at_least: float,
) -> NDArray[np.uint8]:
    """Class ids where the likeliest class has enough probability, 255 elsewhere.

    Chips are predicted whole, as those that the temperature was fitted to.

    Args:
        images: (chips, bands, size, size), as stored.
        valid: (chips, size, size).
        network: the network.
        recipe: how inputs are scaled.
        temperature: what logits are divided by.
        at_least: the probability.

    Returns:
        (chips, size, size).
    """
    labels = np.full(valid.shape, IGNORE, dtype=np.uint8)
    samples = Samples(images, valid, labels, np.arange(len(images)))
    for at, logits in predictions(network, samples, recipe):
        share, ids = (logits.float() / temperature).softmax(dim=1).max(dim=1)
        sure = torch.where(share >= at_least, ids, IGNORE).to(torch.uint8).cpu().numpy()
        labels[at] = np.where(valid[at], sure, IGNORE)
    return labels
