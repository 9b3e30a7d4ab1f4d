"""From features to class probabilities, pixel by pixel: trees, a linear layer, a threshold.

Every sum runs in a fixed order over the numbers of one pixel. A matrix product would sum in an
order that depends on the size of the window, and maps would differ in their last bits.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg.models.pixelwise.features import FloatArray
from geoseg.models.saved.spec import Threshold

LEAST = 1e-4
"""Smaller probabilities count as this one when a temperature is applied: a forest of 100 trees
cannot tell longer odds, and the logarithm of 0 would stay infinite."""

type Arrays = Mapping[str, NDArray[Any]]


class PixelClassifier(Protocol):
    """Classifies single pixels by their features."""

    def __call__(self, features: FloatArray) -> FloatArray:
        """Map (features, pixels) to (classes, pixels) probabilities."""
        ...


@dataclass(frozen=True, eq=False)
class Forest:
    """A random forest: the mean of its trees' class fractions (Breiman, 2001).

    Attributes:
        roots: (trees,) first node of each tree.
        feature: (nodes,) feature that a node compares; -1 in a leaf.
        threshold: (nodes,) pixels with at most this value go left, others right.
        left: (nodes,) next node on the left.
        right: (nodes,) next node on the right.
        shares: (nodes, classes) class fractions of the training pixels in a node.
    """

    roots: NDArray[np.int32]
    feature: NDArray[np.int32]
    threshold: NDArray[np.float64]
    left: NDArray[np.int32]
    right: NDArray[np.int32]
    shares: NDArray[np.float64]

    @classmethod
    def of(cls, forest: Any, classes: int) -> Forest:
        """Take the arrays of a fitted ``sklearn.ensemble.RandomForestClassifier``.

        Args:
            forest: classifier fitted to class ids.
            classes: number of ids; those without training pixels get a probability of 0.
        """
        trees = [each.tree_ for each in forest.estimators_]
        starts = np.cumsum([0, *(tree.node_count for tree in trees)])
        shares = np.zeros((starts[-1], classes))
        shares[:, forest.classes_.astype(int)] = np.concatenate([t.value[:, 0] for t in trees])
        return cls(
            starts[:-1].astype(np.int32),
            np.concatenate([np.maximum(tree.feature, -1) for tree in trees]).astype(np.int32),
            np.concatenate([tree.threshold for tree in trees]),
            _shifted([tree.children_left for tree in trees], starts),
            _shifted([tree.children_right for tree in trees], starts),
            shares / shares.sum(axis=1, keepdims=True),
        )

    def __call__(self, features: FloatArray) -> FloatArray:
        """Map (features, pixels) to (classes, pixels) probabilities."""
        found: FloatArray = _vote(
            np.ascontiguousarray(features.T), self.roots, self.feature, self.threshold, self.left,
            self.right, self.shares,
        )  # fmt: skip
        return found.T


@dataclass(frozen=True, eq=False)
class LinearClassifier:
    """A linear layer and a softmax, which a linear SVM and its calibration amount to.

    Attributes:
        weights: (classes, features).
        bias: (classes,).
    """

    weights: NDArray[np.float64]
    bias: NDArray[np.float64]

    def __call__(self, features: FloatArray) -> FloatArray:
        """Map (features, pixels) to (classes, pixels) probabilities."""
        found: FloatArray = _softmax(np.ascontiguousarray(features.T), self.weights, self.bias)
        return found.T


@dataclass(frozen=True)
class IndexThreshold:
    """A threshold on (first - second) / (first + second) of two stored bands.

    Attributes:
        threshold: its value, and the class above it.
        positions: positions of the two bands among those of the model.
    """

    threshold: Threshold
    positions: tuple[int, int]

    def __call__(self, features: FloatArray) -> FloatArray:
        """Map (bands, pixels), as stored, to (2, pixels) probabilities."""
        index = normalized_difference(*features[list(self.positions)])
        with np.errstate(over="ignore"):  # exp() of a large number is inf, and 1 / inf is right
            above = 1 / (1 + np.exp(-(index - self.threshold.at) / self.threshold.softness))
        both = (1 - above, above) if self.threshold.above else (above, 1 - above)
        return np.stack(both).astype(np.float32)


def tempered(probabilities: FloatArray, temperature: float) -> FloatArray:
    """Divide the logarithms of probabilities, as logits, by a temperature (Guo et al., 2017).

    Args:
        probabilities: (classes, pixels).
        temperature: above 1 for less confidence; 1 changes nothing.

    Example:
        >>> tempered(np.array([[0.8, 1.0], [0.2, 0.0]], np.float32), 2.0).round(3)
        array([[0.667, 0.99 ], [0.333, 0.01 ]], dtype=float32)
    """
    if temperature == 1:
        return probabilities
    found: FloatArray = _tempered(np.ascontiguousarray(probabilities.T), 1 / temperature)
    return found.T


def normalized_difference(first: FloatArray, second: FloatArray) -> NDArray[np.float64]:
    """Compute (first - second) / (first + second), and 0 where the sum is 0."""
    first, second = first.astype(np.float64), second.astype(np.float64)
    total = first + second
    found: NDArray[np.float64] = np.divide(
        first - second, total, out=np.zeros_like(total), where=total != 0
    )
    return found


def _shifted(children: list[NDArray[np.intp]], starts: NDArray[np.intp]) -> NDArray[np.int32]:
    """Number the children through all trees; leaves have -1."""
    moved = [np.where(c < 0, -1, c + s) for c, s in zip(children, starts, strict=False)]
    return np.concatenate(moved).astype(np.int32)


@njit(nogil=True, cache=True)
def _vote(rows, roots, feature, threshold, left, right, shares):  # type: ignore[no-untyped-def]
    result = np.empty((len(rows), shares.shape[1]), np.float32)
    for pixel in range(len(rows)):
        total = np.zeros(shares.shape[1])
        for root in roots:
            node = root
            while feature[node] >= 0:
                low = rows[pixel, feature[node]] <= threshold[node]
                node = left[node] if low else right[node]
            total += shares[node]
        result[pixel] = total / len(roots)
    return result


@njit(nogil=True, cache=True)
def _softmax(rows, weights, bias):  # type: ignore[no-untyped-def]
    classes, features = weights.shape
    result = np.empty((len(rows), classes), np.float32)
    for pixel in range(len(rows)):
        scores = bias.copy()
        for one in range(classes):
            for feature in range(features):
                scores[one] += weights[one, feature] * rows[pixel, feature]
        scores = np.exp(scores - scores.max())
        result[pixel] = scores / scores.sum()
    return result


@njit(nogil=True, cache=True)
def _tempered(rows, power):  # type: ignore[no-untyped-def]
    result = np.empty_like(rows)
    for pixel in range(len(rows)):
        raised = np.maximum(rows[pixel], LEAST) ** power
        result[pixel] = raised / raised.sum()
    return result
