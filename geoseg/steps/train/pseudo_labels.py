"""Labels that a network gives to scenes without any, to learn from them too."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import nn

from geoseg.chips import ChipSet
from geoseg.chips.chip_arrays import Samples
from geoseg.chips.pseudo_chips import added_pixels, with_pseudo_labels
from geoseg.chips.unlabelled_areas import Ground
from geoseg.models.fit.calibration import fit_temperature, some_logits
from geoseg.models.fit.confident_labels import confident
from geoseg.models.fit.training_settings import Recipe

type Told = Mapping[str, float | None]

logger = logging.getLogger(__name__)


def widened(
    chips: ChipSet,
    ground: Ground,
    network: nn.Module,
    recipe: Recipe,
    confidence: float,
    work: Path,
) -> tuple[ChipSet | None, Told]:
    """Training chips, and those of scenes without labels where a network is sure (Lee, 2013).

    Args:
        chips: the labelled chips; the network's confidence is calibrated on those of validation.
        ground: where chips without labels may be cut.
        network: fitted to the training chips.
        recipe: how it was fitted.
        confidence: probability from which a class becomes a label.
        work: folder for the chips.

    Returns:
        The chips, None where the network is sure of nothing; and how many pixels of each class
        were added.
    """
    val = Samples(chips.images, chips.valid, chips.labels, chips.positions("val"))
    label = partial(
        confident,
        network=network,
        recipe=recipe,
        temperature=fit_temperature(*some_logits(network, val, recipe)),
        at_least=confidence,
    )
    more = with_pseudo_labels(chips, ground, label, work)
    added = added_pixels(chips, more)
    named = zip(chips.spec.scheme.names, added, strict=True)
    text = ", ".join(f"{name} {count:,}" for name, count in named)
    logger.info("pseudo-labels of at least %g confidence, in pixels: %s", confidence, text)
    return more, {f"pseudo_pixels_{number}": count for number, count in enumerate(added)}
