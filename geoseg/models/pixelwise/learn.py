"""Fit a forest, an SVM or a threshold to the labelled pixels of chips."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoseg import accuracy, files
from geoseg.chips.chip_arrays import Samples
from geoseg.classes import IGNORE
from geoseg.errors import ChipsError
from geoseg.models.band_names import IndexName, bands_of
from geoseg.models.pixelwise import PixelPredictor
from geoseg.models.pixelwise.classifiers import LEAST, Forest, Linear, normalized_difference
from geoseg.models.pixelwise.features import FloatArray, look
from geoseg.models.saved.model_files import save_arrays, save_spec
from geoseg.models.saved.spec import ModelSpec, Threshold
from geoseg.progress import track

if TYPE_CHECKING:
    from geoseg.models.fit.calibration import Calibration

PER_CLASS = 20_000
"""Labelled pixels of a class that are learned from, at most; drawn at random over all chips."""
TREES, LEAF = 100, 3
"""Trees, and the fewest pixels in a leaf: fewer give maps with more specks."""


def learn(
    train: Samples, val: Samples, spec: ModelSpec, index: IndexName, seed: int,
    folder: Path,
) -> dict[str, float]:  # fmt: skip
    """Fit what a spec names, calibrate it, and write the model directory.

    Args:
        train: chips to learn from.
        val: chips that probabilities are calibrated on, and that the scores are of.
        spec: architecture, bands, scaling, features, classes.
        index: what a threshold is set on.
        seed: of the pixels drawn and of the trees.
        folder: the model directory.

    Returns:
        Validation metrics.

    Raises:
        ChipsError: a class that is needed has no labelled pixel.
        ModelError: the index needs a band that is not there.
    """
    rng = np.random.default_rng(seed)
    if spec.architecture == "threshold":
        spec = spec.model_copy(update={"threshold": _threshold(train, spec, index)})
        saved = save_spec(folder, spec)
    else:
        rule = _forest(train, spec, rng) if spec.architecture == "forest" else _svm(
            train, val, spec, rng
        )  # fmt: skip
        arrays = {each.name: getattr(rule, each.name) for each in fields(rule)}
        saved = save_arrays(folder, arrays, spec)
    found, miou = _check(PixelPredictor.load(folder, saved), val)
    metrics = {"val_miou": miou, "ece_before": found.ece_before, "ece_after": found.ece_after}
    update = {"temperature": found.temperature, "metrics": metrics}
    save_spec(folder, saved.model_copy(update=update))
    table = "\n".join([",".join(metrics), ",".join(map(str, metrics.values()))])
    files.write_bytes(folder / "metrics.csv", (table + "\n").encode())
    return metrics


def otsu(values: NDArray[np.float64]) -> float:
    """The threshold that leaves least variance within both sides (Otsu, 1979).

    Where values have a gap, every threshold in it does; the middle of the gap is taken.

    Args:
        values: of any shape.

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
    best = np.flatnonzero(between >= between.max() * (1 - 1e-12))
    return float(edges[1:-1][best].mean())


def _forest(train: Samples, spec: ModelSpec, rng: np.random.Generator) -> Forest:
    from sklearn.ensemble import RandomForestClassifier

    features, labels = _draw(train, spec, rng)
    forest = RandomForestClassifier(
        TREES, min_samples_leaf=LEAF, n_jobs=-1, random_state=int(rng.integers(2**31))
    )
    return Forest.of(forest.fit(features, labels), len(spec.scheme.classes))


def _svm(train: Samples, val: Samples, spec: ModelSpec, rng: np.random.Generator) -> Linear:
    """A linear SVM, and a logistic regression from its distances to probabilities.

    Platt (1999) calibrates an SVM on pixels it has not seen. For several classes that is a linear
    layer and a softmax on the distances, so both together are one linear layer.
    """
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    features, labels = _draw(train, spec, rng)
    seed = int(rng.integers(2**31))
    svm = LinearSVC(dual=False, class_weight="balanced", random_state=seed).fit(features, labels)
    unseen, truth = _draw(val, spec, rng)
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
    """A row for each class; scikit-learn keeps one row for two."""
    weights, bias = linear.coef_, linear.intercept_
    if len(weights) == 1:
        return np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
    return weights, bias


def _spread(
    weights: NDArray[np.float64], bias: NDArray[np.float64], ids: NDArray[Any], spec: ModelSpec
) -> Linear:
    """A class that was never seen gets a probability of 0."""
    count = len(spec.scheme.classes)
    every = np.zeros((count, weights.shape[1]))
    shift = np.full(count, -1e9)
    every[ids], shift[ids] = weights, bias
    return Linear(every, shift)


def _threshold(train: Samples, spec: ModelSpec, index: IndexName) -> Threshold:
    """Otsu's threshold on all valid pixels; labels say which class lies above."""
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
    softness = max(1e-3, float(value.std()) / 4)
    return Threshold(index=index, bands=bands, at=at, above=above, softness=softness)


def _draw(
    chips: Samples, spec: ModelSpec, rng: np.random.Generator
) -> tuple[FloatArray, NDArray[np.uint8]]:
    """Features, (pixels, features), and labels of pixels drawn at random, so many of each class."""
    classes = len(spec.scheme.classes)
    counts = np.zeros(256, np.int64)
    for _, valid, labels in chips:
        counts += np.bincount(labels[valid], minlength=256)
    share = np.minimum(1, PER_CLASS / np.maximum(counts, 1))
    share[classes:] = 0
    features, drawn = [], []
    for pixels, valid, labels in track(chips, label="looking", total=len(chips.positions)):
        chosen = valid & (labels != IGNORE) & (rng.random(labels.shape) < share[labels])
        if chosen.any():
            features.append(look(pixels, valid, spec)[:, chosen].T)
            drawn.append(labels[chosen])
    if len(set(np.concatenate(drawn)) if drawn else ()) < 2:
        raise ChipsError("labels of two classes are needed", fix="label some more, or tile again")
    return np.concatenate(features), np.concatenate(drawn)


def _check(predictor: PixelPredictor, val: Samples) -> tuple[Calibration, float]:
    """The temperature that validation chips ask for, and their mIoU."""
    import torch

    from geoseg.models.fit.calibration import calibrate, share, some

    classes, each, rng = len(predictor.scheme.classes), share(val), np.random.default_rng(0)
    confusion = np.zeros((classes, classes), np.int64)
    answers, known = [], []
    for pixels, valid, labels in track(val, label="scoring", total=len(val.positions)):
        found = predictor.probabilities(pixels, valid)
        mapped = found.numpy().argmax(axis=0).astype(np.uint8)
        confusion += accuracy.count(labels[valid], mapped[valid], classes)
        chosen = some(np.flatnonzero(valid & (labels != IGNORE)), each, rng)
        answers.append(found.flatten(1)[:, chosen].T)
        known.append(torch.from_numpy(labels.ravel()[chosen].astype(np.int64)))
    logits = torch.cat(answers).clamp(min=LEAST).log()
    miou = round(float(accuracy.scores(confusion).miou), 6)
    return calibrate(logits, torch.cat(known)), miou
