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
    """Count pixels by truth and map; those with an id past the classes (255) are left out.

    Args:
        truth: class ids, any shape.
        mapped: class ids, the same shape.
        classes: number of classes.

    Returns:
        (classes, classes) pixels, truth by row, map by column.

    Example:
        >>> count(np.array([0, 0, 1, 255]), np.array([0, 1, 1, 1]), 2).tolist()
        [[1, 1], [0, 1]]
    """
    use = (truth < classes) & (mapped < classes)
    pairs = truth[use].astype(np.int64) * classes + mapped[use]
    return np.bincount(pairs, minlength=classes * classes).reshape(classes, classes)


@dataclass(frozen=True, eq=False)
class Scores:
    """Scores of a confusion matrix, (classes,) each; NaN where undefined, never 0.

    Attributes:
        iou: intersection over union; NaN for a class in neither truth nor map.
        f1: harmonic mean of precision and recall.
        precision: share of a class's mapped pixels that are right; NaN where none is mapped.
        recall: share of a class's true pixels that are mapped; NaN where there are none.
        support: total of each class in the truth, in the unit of the matrix.
    """

    iou: Floats
    f1: Floats
    precision: Floats
    recall: Floats
    support: Matrix

    @property
    def miou(self) -> float:
        """Mean IoU over the classes where it is defined; NaN with none."""
        defined = self.iou[~np.isnan(self.iou)]
        return float(defined.mean()) if len(defined) else float("nan")


def scores(confusion: Matrix) -> Scores:
    """Compute the scores of each class.

    IoU = TP / (TP + FP + FN), precision = TP / (TP + FP), recall = TP / (TP + FN) and
    F1 = 2 TP / (2 TP + FP + FN), as in Powers (2011), Evaluation: from precision, recall and
    F-measure to ROC, informedness, markedness and correlation.

    Args:
        confusion: (classes, classes) truth by row, map by column.

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
    """Overall accuracy: the share on the diagonal; NaN for an empty matrix.

    Example:
        >>> overall(np.array([[1, 1], [0, 2]]))
        0.75
    """
    total = float(confusion.sum())
    return float(np.trace(confusion) / total) if total else float("nan")


def majority(confusion: Matrix) -> Matrix:
    """The confusion matrix of a map with the truth's commonest class everywhere.

    A map is worth something only as far as it beats this one.

    Example:
        >>> majority(np.array([[1, 1], [0, 3]])).tolist()
        [[0, 2], [0, 3]]
    """
    always = np.zeros_like(confusion)
    truth = confusion.sum(axis=1)
    always[:, int(np.argmax(truth))] = truth
    return always


def ratio(part: Floats, of: Floats) -> Floats:
    """Divide elementwise; NaN where the divisor is 0.

    Example:
        >>> ratio(np.array([1.0, 2.0]), np.array([4.0, 0.0])).tolist()
        [0.25, nan]
    """
    out: Floats = np.divide(part, of, out=np.full(np.shape(part), np.nan), where=of > 0)
    return out
