"""Scores of a confusion matrix: rows are truth, columns are the map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

type Confusion = NDArray[np.int64]
type Floats = NDArray[np.float64]
type Matrix = NDArray[np.int64] | NDArray[np.float64]
"""A confusion matrix in pixels, in square metres, or in shares of the map."""


def count(truth: NDArray[np.uint8], mapped: NDArray[np.uint8], classes: int) -> Confusion:
    """Count pixel pairs; a pixel that is 255 (or any id past the classes) in either is left out.

    Args:
        truth: class ids, any shape.
        mapped: class ids, the same shape.
        classes: how many classes there are.

    Returns:
        (classes, classes): truth by row, map by column.

    Example:
        >>> count(np.array([0, 0, 1, 255]), np.array([0, 1, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    use = (truth < classes) & (mapped < classes)
    pairs = truth[use].astype(np.int64) * classes + mapped[use]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class Scores:
    """What a confusion matrix says; undefined scores are NaN, never 0.

    Attributes:
        iou: intersection over union by class; NaN for a class in neither truth nor map.
        f1: harmonic mean of precision and recall.
        precision: share of the map's pixels of a class that are right; NaN where the map has none.
        recall: share of the truth's pixels of a class that are found; NaN where there are none.
        support: how much of each class the truth holds, in the unit of the matrix.
    """

    iou: Floats
    f1: Floats
    precision: Floats
    recall: Floats
    support: Matrix

    @property
    def miou(self) -> float:
        """Mean IoU over the classes for which it is defined; NaN when there are none."""
        defined = self.iou[~np.isnan(self.iou)]
        return float(defined.mean()) if len(defined) else float("nan")


def scores(confusion: Matrix) -> Scores:
    """Per-class scores of a confusion matrix.

    IoU = TP / (TP + FP + FN), precision = TP / (TP + FP), recall = TP / (TP + FN) and
    F1 = 2 TP / (2 TP + FP + FN), as defined for instance in Powers (2011).

    Example:
        >>> scores(np.array([[1, 1], [0, 1]])).iou.tolist()
        [0.5, 0.5]
    """
    hit = np.diag(confusion).astype(float)
    support = confusion.sum(axis=1)
    truth, mapped = support.astype(float), confusion.sum(axis=0).astype(float)
    return Scores(
        iou=ratio(hit, truth + mapped - hit),
        f1=ratio(2 * hit, truth + mapped),
        precision=ratio(hit, mapped),
        recall=ratio(hit, truth),
        support=support,
    )


def overall(confusion: Matrix) -> float:
    """Share of all that is counted that is right; NaN when there is nothing."""
    total = float(confusion.sum())
    return float(np.trace(confusion) / total) if total else float("nan")


def majority(confusion: Matrix) -> Matrix:
    """The confusion matrix of a map that says the truth's most frequent class everywhere."""
    always = np.zeros_like(confusion)
    truth = confusion.sum(axis=1)
    always[:, int(np.argmax(truth))] = truth
    return always


def ratio(part: Floats, of: Floats) -> Floats:
    """One number divided by another; NaN where that is 0."""
    out: Floats = np.divide(part, of, out=np.full(np.shape(part), np.nan), where=of > 0)
    return out
