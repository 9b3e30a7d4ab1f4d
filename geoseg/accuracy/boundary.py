"""Boundary IoU: the accuracy of outlines."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio

NOWHERE = 255
"""Not on an outline. The value of unlabelled pixels, which have no outlines either."""


def boundary(ids: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Keep the pixels near outlines, where one class meets another.

    Unlabelled pixels (255) and the edge of the array make no outline.

    Args:
        ids: (height, width) class ids, 255 where unlabelled.
        width: largest distance from an outline in pixels, along rows and columns; pixels beside
            it are at 1.

    Returns:
        (height, width) class ids near outlines, 255 elsewhere.

    Example:
        >>> boundary(np.array([[0, 0, 0, 1, 1, 1, 255]], np.uint8), 1).tolist()
        [[255, 255, 0, 1, 255, 255, 255]]
    """
    from scipy import ndimage

    known = ids != NOWHERE
    side = 2 * width + 1
    # A pixel is near an outline where its neighbourhood holds a larger or a smaller id. 255 is
    # above all ids, so it is out of the way of the minimum, and is made 0 for the maximum.
    highest = ndimage.maximum_filter(np.where(known, ids, 0), side, mode="nearest")
    lowest = ndimage.minimum_filter(ids, side, mode="nearest")
    near = known & ((highest > ids) | (lowest < ids))
    kept: NDArray[np.uint8] = np.where(near, ids, NOWHERE).astype(np.uint8)
    return kept


def surrounded(known: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Whether all pixels within a distance are known; the edge of the array counts as known.

    Args:
        known: (height, width) mask of known pixels.
        width: distance in pixels, along rows and columns.

    Example:
        >>> surrounded(np.array([[True, True, True, False]]), 1).tolist()
        [[True, True, False, False]]
    """
    from scipy import ndimage

    inner: NDArray[np.bool_] = ndimage.minimum_filter(known, 2 * width + 1, mode="nearest")
    return inner


@dataclass(frozen=True, eq=False)
class BoundaryCounts:
    """Pixels near outlines; counts of several windows add up.

    Attributes:
        both: (classes,) near an outline of the class in truth and map.
        truth: (classes,) in the truth.
        mapped: (classes,) in the map.
    """

    both: Confusion
    truth: Confusion
    mapped: Confusion

    def __add__(self, other: BoundaryCounts) -> BoundaryCounts:
        return BoundaryCounts(
            self.both + other.both, self.truth + other.truth, self.mapped + other.mapped
        )

    @property
    def iou(self) -> Floats:
        """(classes,) boundary IoU; NaN for a class without outlines.

        After Cheng et al. (2021), Boundary IoU: improving object-centric image segmentation
        evaluation, equation 3.
        """
        union = self.truth + self.mapped - self.both
        return ratio(self.both.astype(float), union.astype(float))


def count_boundaries(
    truth: NDArray[np.uint8], mapped: NDArray[np.uint8], classes: int
) -> BoundaryCounts:
    """Count the pixels that `boundary` kept of truth and map.

    Args:
        truth: class ids near outlines, 255 elsewhere, any shape.
        mapped: class ids of the map, the same shape.
        classes: number of classes.

    Example:
        >>> near = np.array([0, 0, 1, 255], np.uint8)
        >>> count_boundaries(near, np.array([0, 1, 1, 1], np.uint8), 2).iou.tolist()
        [0.5, 0.3333333333333333]
    """
    return BoundaryCounts(
        _by_class(truth[truth == mapped], classes),
        _by_class(truth, classes),
        _by_class(mapped, classes),
    )


def _by_class(ids: NDArray[np.uint8], classes: int) -> Confusion:
    return np.bincount(ids.ravel(), minlength=NOWHERE + 1)[:classes]
