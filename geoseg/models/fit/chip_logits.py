"""Logits of whole chips, for calibration, pseudo-labels and example pictures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from geoseg.classes import IGNORE
from geoseg.models.fit.temperature import draw, pixels_per_chip
from geoseg.models.input_scaling import scaled

if TYPE_CHECKING:
    from geoseg.chips.chip_arrays import ChipArrays
    from geoseg.models.fit.training_settings import TrainingSettings

BATCH = 8


@torch.no_grad()
def chip_logits(
    network: nn.Module, chips: ChipArrays, settings: TrainingSettings
) -> Iterator[tuple[NDArray[np.intp], Tensor]]:
    """Run a network over chips, a few at a time, on the GPU where there is one.

    Yields:
        Positions of the chips, (n,), and their logits, (n, classes, size, size), on the device.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    network = network.eval().to(device)
    for start in range(0, len(chips), BATCH):
        at = chips.positions[start : start + BATCH]
        # an index array copies, so torch gets memory of its own instead of a read-only map
        images, valid = torch.from_numpy(chips.images[at]), torch.from_numpy(chips.valid[at])
        inputs = scaled(images, valid, settings.mean, settings.std)
        yield at, network(inputs.to(device, memory_format=torch.channels_last))
    network.cpu()


def labelled_logits(
    network: nn.Module, chips: ChipArrays, settings: TrainingSettings
) -> tuple[Tensor, Tensor]:
    """Logits and labels of labelled pixels, about the same number from each chip.

    Returns:
        (pixels, classes) float32 and (pixels,) int64, on the CPU.
    """
    # a fixed seed: the temperature must not depend on the seed of the training
    each, rng = pixels_per_chip(chips), np.random.default_rng(0)
    logits, labels = [torch.empty(0, settings.classes)], [torch.empty(0, dtype=torch.int64)]
    for at, found in chip_logits(network, chips, settings):
        known = chips.labels[at].ravel()
        chosen = draw(np.flatnonzero(known != IGNORE), each * len(at), rng)
        logits.append(found.movedim(1, -1).reshape(-1, settings.classes)[chosen].float().cpu())
        labels.append(torch.from_numpy(known[chosen].astype(np.int64)))
    return torch.cat(logits), torch.cat(labels)
