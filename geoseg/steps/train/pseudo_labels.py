"""Pseudo-labels: scenes without labels, labelled by a network where it is confident."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import partial
from pathlib import Path

from torch import nn

from geoseg.chips import ChipSet
from geoseg.chips.pseudo_chips import added_pixels, with_pseudo_labels
from geoseg.chips.unlabelled_areas import UnlabelledAreas
from geoseg.models.fit.chip_logits import labelled_logits
from geoseg.models.fit.confident_labels import confident_labels
from geoseg.models.fit.temperature import fit_temperature
from geoseg.models.fit.training_settings import TrainingSettings

type Counts = Mapping[str, float | None]
"""Entries of the record, by name."""

logger = logging.getLogger(__name__)


def add_pseudo_labels(
    chips: ChipSet,
    areas: UnlabelledAreas,
    network: nn.Module,
    settings: TrainingSettings,
    confidence: float,
    work: Path,
) -> tuple[ChipSet | None, Counts]:
    """Extend training chips by those of unlabelled scenes that get pseudo-labels (Lee, 2013).

    Args:
        chips: labelled chips; the network's confidence is calibrated on their validation split.
        areas: where chips without labels may be cut.
        network: network fitted to the training chips.
        settings: how it was fitted.
        confidence: calibrated probability from which a class becomes the label.
        work: folder for the new chip set.

    Returns:
        The chip set, None if no pixel got a label; and the number of added pixels by class.
    """
    val = chips.arrays("val")
    label = partial(
        confident_labels,
        network=network,
        settings=settings,
        temperature=fit_temperature(*labelled_logits(network, val, settings)),
        at_least=confidence,
    )
    more = with_pseudo_labels(chips, areas, label, work)
    added = added_pixels(chips, more)
    named = zip(chips.spec.scheme.names, added, strict=True)
    text = ", ".join(f"{name} {count:,}" for name, count in named)
    logger.info("pseudo-labels of at least %g confidence, in pixels: %s", confidence, text)
    return more, {f"pseudo_pixels_{number}": count for number, count in enumerate(added)}
