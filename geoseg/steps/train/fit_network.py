"""Networks: where they start, what they are fed, how they are fitted and calibrated."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from geoseg.chips import ChipSet
from geoseg.chips.chip_arrays import Samples
from geoseg.chips.loader import loader
from geoseg.chips.sampling import Batches, Order
from geoseg.chips.unlabelled_areas import Ground
from geoseg.errors import ConfigError
from geoseg.job.record import versions
from geoseg.models.fit.calibration import calibrate, some_logits
from geoseg.models.fit.fitting import STEPS_PER_EPOCH, best_of, fit
from geoseg.models.fit.history import Rows, write_table
from geoseg.models.fit.starting_point import Inputs, Origin, Start, start
from geoseg.models.fit.training_pictures import draw_pictures
from geoseg.models.fit.training_settings import Recipe
from geoseg.models.networks.build import halo_of, stride_of, window_of
from geoseg.models.saved.model_files import save_model
from geoseg.models.saved.spec import ModelSpec
from geoseg.steps.train.pseudo_labels import Told, widened
from geoseg.steps.train.tuning import tuned

if TYPE_CHECKING:
    from geoseg.steps.train import TrainOptions

MAX_CLASS_WEIGHT = 10.0
RECIPE = {
    "loss", "label_smoothing", "lr", "schedule", "accumulate", "ema", "epochs", "patience",
    "edges", "seed",
}  # fmt: skip

logger = logging.getLogger(__name__)


def fit_network(
    chips: ChipSet, ground: Ground | None, folder: Path, work: Path, options: TrainOptions
) -> dict[str, float | None]:
    """Fit a network to chips, calibrate it, and write the model directory with its pictures.

    Args:
        chips: the chips.
        ground: where to cut chips without labels to learn from too, if anywhere.
        folder: the model directory.
        work: folder for what a killed run goes on from.
        options: what and how.

    Returns:
        What goes into the record: chips by split, and validation metrics.

    Raises:
        ConfigError: edges were asked for where they teach the network nothing.
    """
    _check(options)
    if options.tune:
        options = tuned(options, partial(_score, chips), work)
    fitted = _fitted(chips, options, work / "fit", folder)
    told: Told = {}
    if ground:
        fitted, told = _fitted_again(fitted, chips, ground, options, work, folder)
    recipe, network = fitted.recipe, fitted.first.network
    val = Samples(chips.images, chips.valid, chips.labels, chips.positions("val"))
    found = calibrate(*some_logits(network, val, recipe))
    logger.info(
        "temperature %.3g; expected calibration error on validation chips %.4f, was %.4f",
        found.temperature, found.ece_after, found.ece_before,
    )  # fmt: skip
    errors = {"ece_before": found.ece_before, "ece_after": found.ece_after}
    metrics = {**best_of(fitted.rows), **errors, **told}
    spec = _spec(chips, fitted, options).model_copy(
        update={"temperature": found.temperature, "metrics": metrics}
    )
    draw_pictures(network, val, recipe, fitted.rows, spec, folder)
    save_model(folder, network, spec)
    counts = {split: len(chips.positions(split)) for split in ("train", "val")}
    return {**counts, **metrics}


def _check(options: TrainOptions) -> None:
    if options.edges and options.tuning == "probe":
        raise ConfigError(
            "teaches the features below the last layer, which stay as they are",
            where="--edges",
            got="--tuning probe",
            fix="leave out one of them",
        )


@dataclass(frozen=True, eq=False)
class _Fitted:
    first: Start
    recipe: Recipe
    rows: Rows


def _fitted(
    chips: ChipSet, options: TrainOptions, work: Path, logs: Path, more: ChipSet | None = None
) -> _Fitted:
    """Fit a network to chips, or to ``more``; either way those of chips scale, weigh and judge."""
    torch.manual_seed(options.seed)
    recipe = _recipe(chips, options)
    origin = Origin(options.weights, options.weights_folder, options.scaling, options.tuning)
    inputs = Inputs(tuple(band.name for band in chips.spec.bands), recipe.mean, recipe.std)
    first = start(options.architecture, options.backbone, inputs, recipe.classes, origin)
    recipe = replace(recipe, mean=first.mean, std=first.std)
    learned = more or chips
    feed = loader(learned, "train", _drawn(learned, options))
    val = loader(chips, "val", _all(options))
    order = feed.sampler
    assert isinstance(order, Order), "the loader of chips is in an order of its own"
    learn = order.learn if options.sampling == "hard" else None
    return _Fitted(first, recipe, fit(first.network, feed, val, recipe, work, logs, learn=learn))


def _fitted_again(
    alone: _Fitted, chips: ChipSet, ground: Ground, options: TrainOptions, work: Path, logs: Path
) -> tuple[_Fitted, Told]:
    """The better of a network and one that has learned from its pseudo-labels too.

    Returns:
        The network, and what goes into the record.
    """
    network, place = alone.first.network, work / "pseudo"
    more, told = widened(chips, ground, network, alone.recipe, options.confidence, place)
    before = best_of(alone.rows)["val_miou"]
    if more is None:
        return alone, {**told, "val_miou_before": before, "val_miou_after": None}
    both = _fitted(chips, options, work / "again", logs, more)
    after = best_of(both.rows)["val_miou"]
    kept, named = (both, "with") if after > before else (alone, "without")
    logger.info(
        "validation mIoU %.3f, with pseudo-labels %.3f: the model is the one %s them",
        before, after, named,
    )  # fmt: skip
    write_table(logs / "metrics.csv", kept.rows)
    return kept, {**told, "val_miou_before": before, "val_miou_after": after}


def _score(chips: ChipSet, options: TrainOptions, place: Path) -> float:
    """The validation mIoU that a set of options comes to."""
    return best_of(_fitted(chips, options, place, place).rows)["val_miou"]


def _drawn(chips: ChipSet, options: TrainOptions) -> Batches:
    """Batches of an epoch; small sets are gone through several times."""
    count = len(chips.positions("train"))
    batch = min(options.batch, count)
    return Batches(
        batch=batch,
        steps=max(count // batch, STEPS_PER_EPOCH),
        side=options.crop,
        sampling=options.sampling,
        seed=options.seed,
        workers=options.workers,
    )


def _all(options: TrainOptions) -> Batches:
    return Batches(batch=options.batch, workers=options.workers)


def _recipe(chips: ChipSet, options: TrainOptions) -> Recipe:
    bands = chips.spec.bands
    return Recipe(
        mean=tuple(band.mean for band in bands),
        std=tuple(band.std for band in bands),
        classes=len(chips.spec.scheme.classes),
        class_weights=_weights(chips.spec.pixels["train"], options.class_weights),
        **options.model_dump(include=RECIPE),
    )


def _weights(pixels: tuple[int, ...], rule: str) -> tuple[float, ...]:
    """Class weights from training pixels; a class without any has weight 0."""
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[rule]
    even = sum(pixels) / len(pixels)
    return tuple(min((even / n) ** power, MAX_CLASS_WEIGHT) if n else 0.0 for n in pixels)


def _spec(chips: ChipSet, fitted: _Fitted, options: TrainOptions) -> ModelSpec:
    spec, first = chips.spec, fitted.first
    return ModelSpec(
        architecture=options.architecture,
        backbone=first.backbone,
        bands=tuple(band.name for band in spec.bands),
        dtype=spec.dtype,
        mean=fitted.recipe.mean,
        std=fitted.recipe.std,
        gsd_m=spec.gsd_m,
        scheme=spec.scheme,
        stride=stride_of(first.network),
        halo=halo_of(first.network),
        window=window_of(options.architecture, spec.size),
        origin=first.origin,
        licence=first.licence,
        versions=versions(),
    )
