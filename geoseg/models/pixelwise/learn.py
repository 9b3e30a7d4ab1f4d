"""Fit a forest, an SVM or a threshold to the labelled pixels of chips."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from geoseg import accuracy, files
from geoseg.chips.chip_arrays import ChipArrays
from geoseg.classes import IGNORE
from geoseg.errors import ChipsError
from geoseg.layout import METRICS
from geoseg.models.band_names import IndexName, bands_of
from geoseg.models.fit.temperature import Calibration, calibrate, draw, pixels_per_chip
from geoseg.models.pixelwise.classifiers import (
    LEAST,
    Forest,
    LinearClassifier,
    normalized_difference,
)
from geoseg.models.pixelwise.features import FloatArray, features_of
from geoseg.models.pixelwise.pixel_predictor import PixelPredictor
from geoseg.models.saved.model_files import save_arrays, save_spec
from geoseg.models.saved.spec import ModelSpec, Threshold
from geoseg.progress import track

PER_CLASS = 20_000
"""Labelled pixels of a class used for training, at most; drawn at random from all chips."""
TREES, LEAF = 100, 3
"""Number of trees, and the fewest pixels in a leaf: fewer give noisier maps."""


def learn(
    train: ChipArrays, val: ChipArrays, spec: ModelSpec, index: IndexName, seed: int,
    folder: Path,
) -> dict[str, float]:  # fmt: skip
    """Fit the classifier that a spec names, calibrate it, and write the model directory.

    Args:
        train: training chips.
        val: validation chips, for calibration and scores.
        spec: architecture, bands, scaling, features and classes.
        index: spectral index of a threshold.
        seed: seed of the pixels drawn and of the trees.
        folder: model directory to write.

    Returns:
        Validation metrics.

    Raises:
        ChipsError: fewer than two classes have labelled pixels.
        ModelError: the index needs a band that the chips lack.
    """
    rng = np.random.default_rng(seed)
    if spec.architecture == "threshold":
        spec = spec.model_copy(update={"threshold": _threshold(train, spec, index)})
        saved = save_spec(folder, spec)
    else:
        fitted = _forest(train, spec, rng) if spec.architecture == "forest" else _svm(
            train, val, spec, rng
        )  # fmt: skip
        arrays = {each.name: getattr(fitted, each.name) for each in fields(fitted)}
        saved = save_arrays(folder, arrays, spec)
    found, miou = _validate(PixelPredictor.load(folder, saved), val)
    metrics = {"val_miou": miou, "ece_before": found.ece_before, "ece_after": found.ece_after}
    update = {"temperature": found.temperature, "metrics": metrics}
    save_spec(folder, saved.model_copy(update=update))
    table = "\n".join([",".join(metrics), ",".join(map(str, metrics.values()))])
    files.write_bytes(folder / METRICS, (table + "\n").encode())
    return metrics


def otsu(values: NDArray[np.float64]) -> float:
    """Find the threshold with the least variance within both sides (Otsu, 1979).

    Where the values have a gap, every threshold in it qualifies, and its middle is taken.

    Args:
        values: numbers in an array of any shape.

    Example:
        >>> otsu(np.array([0.0, 0.0, 1.0, 1.0]))
        0.5
    """
    counts, edges = np.histogram(values, 256)
    below = np.cumsum(counts)[:-1]
    centres = (edges[:-1] + edges[1:]) / 2
    sums = np.cumsum(counts * centres)
    above = below[-1] + counts[-1] - below
    distance = sums[:-1] / np.maximum(below, 1) - (sums[-1] - sums[:-1]) / np.maximum(above, 1)
    between = below * above * distance**2
    # a tolerance, as equal variances differ by rounding
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best].mean())


def _forest(train: ChipArrays, spec: ModelSpec, rng: np.random.Generator) -> Forest:
    from sklearn.ensemble import RandomForestClassifier

    features, labels = _draw(train, spec, rng)
    forest = RandomForestClassifier(
        TREES, min_samples_leaf=LEAF, n_jobs=-1, random_state=int(rng.integers(2**31))
    )
    return Forest.of(forest.fit(features, labels), len(spec.scheme.classes))


def _svm(
    train: ChipArrays, val: ChipArrays, spec: ModelSpec, rng: np.random.Generator
) -> LinearClassifier:
    """Fit a linear SVM, and a logistic regression from its distances to probabilities.

    Platt (1999) calibrates an SVM on pixels it was not trained on. For several classes that is a
    linear layer and a softmax on the distances, so both together are one linear layer.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    features, labels = _draw(train, spec, rng)
    seed = int(rng.integers(2**31))
    svm = LinearSVC(dual=False, class_weight="balanced", random_state=seed).fit(features, labels)
    unseen, truth = _draw(val, spec, rng)
    # a class without validation pixels could not be calibrated; training pixels are the next best
    if set(truth) != set(labels):
        unseen, truth = features, labels
    scores = LogisticRegression(max_iter=500).fit(_distances(svm, unseen), truth)
    weights, bias = _rows(scores)
    distance, offset = _rows(svm)
    return _spread(weights @ distance, weights @ offset + bias, svm.classes_, spec)


def _distances(svm: Any, features: FloatArray) -> NDArray[np.float64]:
    weights, bias = _rows(svm)
    found: NDArray[np.float64] = features @ weights.T + bias
    return found


def _rows(linear: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights and bias with a row per class; for two classes scikit-learn keeps one row."""
    weights, bias = linear.coef_, linear.intercept_
    if len(weights) == 1:
        return np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights, bias


def _spread(
    weights: NDArray[np.float64], bias: NDArray[np.float64], ids: NDArray[Any], spec: ModelSpec
) -> LinearClassifier:
    """Put rows at their class ids; a class without training pixels gets a probability of 0."""
    count = len(spec.scheme.classes)
    every = np.zeros((count, weights.shape[1]))
    shift = np.full(count, -1e9)
    every[ids], shift[ids] = weights, bias
    return LinearClassifier(every, shift)


def _threshold(train: ChipArrays, spec: ModelSpec, index: IndexName) -> Threshold:
    """Set Otsu's threshold on all valid pixels; labels decide which class lies above."""
    bands = bands_of(index, spec.bands, "chips")
    first, second = (spec.bands.index(band) for band in bands)
    values, labels = [], []
    for pixels, valid, known in train:
        both = pixels[[first, second]].astype(np.float32)[:, valid]
        values.append(normalized_difference(both[0], both[1]))
        labels.append(known[valid])
    value, label = np.concatenate(values), np.concatenate(labels)
    at = otsu(value)
    means = [value[label == each].mean() if (label == each).any() else at for each in (0, 1)]
    above = 1 if means[1] >= means[0] else 0
    # a quarter of the spread: probabilities go from 12 to 88 % within half a standard deviation
    # on either side
    softness = max(1e-3, float(value.std()) / 4)
    return Threshold(index=index, bands=bands, at=at, above=above, softness=softness)


def _draw(
    chips: ChipArrays, spec: ModelSpec, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Draw pixels at random, about as many of each class; (pixels, features) and (pixels,) ids."""
    classes = len(spec.scheme.classes)
    counts = np.zeros(256, np.int64)
    for _, valid, labels in chips:
        counts += np.bincount(labels[valid], minlength=256)
    # a class that is rare is taken whole; the others are thinned at random
    share = np.minimum(1, PER_CLASS / np.maximum(counts, 1))
    share[classes:] = 0
    features, drawn = [], []
    for pixels, valid, labels in track(chips, label="sampling", total=len(chips.positions)):
        chosen = valid & (labels != IGNORE) & (rng.random(labels.shape) < share[labels])
        if chosen.any():
            features.append(features_of(pixels, valid, spec)[:, chosen].T)
            drawn.append(labels[chosen])
    if len(set(np.concatenate(drawn)) if drawn else ()) < 2:
        raise ChipsError(
            "two classes with labelled training pixels are needed", fix="label more, or tile again"
        )
    return np.concatenate(features), np.concatenate(drawn)


def _validate(predictor: PixelPredictor, val: ChipArrays) -> tuple[Calibration, float]:
    """Fit a temperature to validation chips, and compute their mIoU."""
    classes, each, rng = (
        len(predictor.scheme.classes),
        pixels_per_chip(val),
        np.random.default_rng(0),
    )
    confusion = np.zeros((classes, classes), np.int64)
    probabilities, known = [], []
    for pixels, valid, labels in track(val, label="scoring", total=len(val.positions)):
        found = predictor.probabilities(pixels, valid)
        mapped = found.numpy().argmax(axis=0).astype(np.uint8)
        confusion += accuracy.count(labels[valid], mapped[valid], classes)
        chosen = draw(np.flatnonzero(valid & (labels != IGNORE)), each, rng)
        probabilities.append(found.flatten(1)[:, chosen].T)
        known.append(torch.from_numpy(labels.ravel()[chosen].astype(np.int64)))
    logits = torch.cat(probabilities).clamp(min=LEAST).log()
    miou = round(float(accuracy.scores(confusion).miou), 6)
    return calibrate(logits, torch.cat(known)), miou
