"""Train networks: initial weights, batches, fit, calibration, pictures."""

from __future__ import annotations

import logging
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import torch

from geoseg.chips import ChipSet
from geoseg.chips.loader import loader
from geoseg.chips.sampling import Batches, ChipSampler
from geoseg.chips.unlabelled_areas import UnlabelledAreas
from geoseg.errors import ConfigError
from geoseg.job.record import versions
from geoseg.layout import METRICS
from geoseg.models.fit.chip_logits import labelled_logits
from geoseg.models.fit.fitting import STEPS_PER_EPOCH, fit
from geoseg.models.fit.history import Epochs, best_of, write_metrics
from geoseg.models.fit.starting_point import (
    InitialWeights,
    InputBands,
    StartingPoint,
    starting_point,
)
from geoseg.models.fit.temperature import calibrate
from geoseg.models.fit.training_pictures import draw_pictures
from geoseg.models.fit.training_settings import TrainingSettings
from geoseg.models.networks.build import halo_of, stride_of, window_of
from geoseg.models.saved.model_files import save_model
from geoseg.models.saved.spec import ModelSpec
from geoseg.steps.train.options import TrainOptions
from geoseg.steps.train.pseudo_labels import Counts, add_pseudo_labels
from geoseg.steps.train.tuning import tuned

MAX_CLASS_WEIGHT = 10.0
"""Keeps a class with a handful of pixels from dominating every batch it is in."""
SAME_NAMES = {
    "loss", "label_smoothing", "lr", "schedule", "accumulate", "ema", "epochs", "patience",
    "edges", "seed",
}  # fmt: skip
"""Options that are training settings as they are."""

logger = logging.getLogger(__name__)


def fit_network(
    chips: ChipSet, areas: UnlabelledAreas | None, folder: Path, work: Path, options: TrainOptions
) -> dict[str, float | None]:
    """Fit a network to chips, calibrate it, and write the model directory with its pictures.

    Args:
        chips: labelled chips.
        areas: where to cut chips without labels to train on too; None for nowhere.
        folder: model directory to write.
        work: folder for what a killed run continues from.
        options: architecture and training.

    Returns:
        Counts for the record: chips by split, and validation metrics.

    Raises:
        ConfigError: edges were asked for where the features below the last layer are frozen.
    """
    _require_trainable_features(options)
    if options.tune:
        options = tuned(options, partial(_score, chips), work)
    fitted = _fit(chips, options, work / "fit", folder)
    counts: Counts = {}
    if areas:
        fitted, counts = _fit_again(fitted, chips, areas, options, work, folder)
    settings, network = fitted.settings, fitted.start.network
    val = chips.arrays("val")
    found = calibrate(*labelled_logits(network, val, settings))
    logger.info(
        "temperature %.3g; expected calibration error on validation chips %.4f, was %.4f",
        found.temperature, found.ece_after, found.ece_before,
    )  # fmt: skip
    errors = {"ece_before": found.ece_before, "ece_after": found.ece_after}
    metrics = {**best_of(fitted.epochs), **errors, **counts}
    spec = _spec(chips, fitted, options).model_copy(
        update={"temperature": found.temperature, "metrics": metrics}
    )
    draw_pictures(network, val, settings, fitted.epochs, spec, folder)
    save_model(folder, network, spec)
    sizes = {split: len(chips.positions(split)) for split in ("train", "val")}
    return {**sizes, **metrics}


def _require_trainable_features(options: TrainOptions) -> None:
    if options.edges and options.tuning == "probe":
        raise ConfigError(
            "trains the features below the last layer, which --tuning probe freezes",
            where="--edges",
            got="--tuning probe",
            fix="leave out one of them",
        )


@dataclass(frozen=True, eq=False)
class _Fitted:
    start: StartingPoint
    settings: TrainingSettings
    epochs: Epochs


def _fit(
    chips: ChipSet, options: TrainOptions, work: Path, logs: Path, more: ChipSet | None = None
) -> _Fitted:
    """Fit a network to chips, or to ``more``.

    Scaling, class weights and validation come from ``chips`` in either case, so that the scores
    of two networks can be compared.
    """
    torch.manual_seed(options.seed)
    settings = _settings(chips, options)
    initial = InitialWeights(
        options.weights, options.weights_folder, options.scaling, options.tuning
    )
    names = tuple(band.name for band in chips.spec.bands)
    start = starting_point(
        options.architecture,
        options.backbone,
        InputBands(names, settings.mean, settings.std),
        settings.classes,
        initial,
    )
    # pretrained weights may bring a scaling of their own
    settings = replace(settings, mean=start.mean, std=start.std)
    source = more or chips
    train = loader(source, "train", _train_batches(source, options))
    val = loader(chips, "val", Batches(batch=options.batch, workers=options.workers))
    sampler = train.sampler
    assert isinstance(sampler, ChipSampler), "the loader of chips has a sampler of its own"
    take_losses = sampler.take_losses if options.sampling == "hard" else None
    epochs = fit(start.network, train, val, settings, work, logs, take_losses=take_losses)
    return _Fitted(start, settings, epochs)


def _fit_again(
    first: _Fitted,
    chips: ChipSet,
    areas: UnlabelledAreas,
    options: TrainOptions,
    work: Path,
    logs: Path,
) -> tuple[_Fitted, Counts]:
    """Fit a second network with pseudo-labels of the first, and keep the better one.

    Returns:
        The better network, and entries of the record.
    """
    network = first.start.network
    more, counts = add_pseudo_labels(
        chips, areas, network, first.settings, options.confidence, work / "pseudo"
    )
    before = best_of(first.epochs)["val_miou"]
    if more is None:
        return first, {**counts, "val_miou_before": before, "val_miou_after": None}
    second = _fit(chips, options, work / "again", logs, more)
    after = best_of(second.epochs)["val_miou"]
    kept, named = (second, "with") if after > before else (first, "without")
    logger.info(
        "validation mIoU %.3f, with pseudo-labels %.3f: the model is the one %s them",
        before, after, named,
    )  # fmt: skip
    # both fits wrote the file; the last one to do so may not be the one that is kept
    write_metrics(logs / METRICS, kept.epochs)
    return kept, {**counts, "val_miou_before": before, "val_miou_after": after}


def _score(chips: ChipSet, options: TrainOptions, place: Path) -> float:
    """Validation mIoU of a network trained with options."""
    return best_of(_fit(chips, options, place, place).epochs)["val_miou"]


def _train_batches(chips: ChipSet, options: TrainOptions) -> Batches:
    """Batches of an epoch; small chip sets are gone through several times."""
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


def _settings(chips: ChipSet, options: TrainOptions) -> TrainingSettings:
    bands = chips.spec.bands
    return TrainingSettings(
        mean=tuple(band.mean for band in bands),
        std=tuple(band.std for band in bands),
        classes=len(chips.spec.scheme.classes),
        class_weights=_class_weights(chips.spec.pixels["train"], options.class_weights),
        **options.model_dump(include=SAME_NAMES),
    )


def _class_weights(pixels: tuple[int, ...], rule: str) -> tuple[float, ...]:
    """Weights by class from labelled training pixels; a class without any has weight 0."""
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[rule]
    even = sum(pixels) / len(pixels)
    return tuple(min((even / n) ** power, MAX_CLASS_WEIGHT) if n else 0.0 for n in pixels)


def _spec(chips: ChipSet, fitted: _Fitted, options: TrainOptions) -> ModelSpec:
    spec, start = chips.spec, fitted.start
    return ModelSpec(
        architecture=options.architecture,
        backbone=start.backbone,
        bands=tuple(band.name for band in spec.bands),
        dtype=spec.dtype,
        mean=fitted.settings.mean,
        std=fitted.settings.std,
        gsd_m=spec.gsd_m,
        scheme=spec.scheme,
        stride=stride_of(start.network),
        halo=halo_of(start.network),
        window=window_of(options.architecture, spec.size),
        origin=start.origin,
        licence=start.licence,
        versions=versions(),
    )
