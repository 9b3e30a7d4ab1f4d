"""How right outlines are: boundary IoU."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio

NOWHERE = 255


def boundary(ids: NDArray[np.uint8], width: int) -> NDArray[np.uint8]:
    """Keep the pixels of every class that lie within some pixels of another class.

    Where nothing is known (255), and beyond the array, there is no other class: the edge of what
    is known is no outline.

    Args:
        ids: (height, width) class ids.
        width: how many pixels from the outline, in rows and columns; a pixel beside it is at 1.

    Returns:
        (height, width) class ids, 255 elsewhere.

    Example:
        >>> boundary(np.array([[0, 0, 0, 1, 1, 1, 255]], np.uint8), 1).tolist()
        [[255, 255, 0, 1, 255, 255, 255]]
    """
    from scipy import ndimage

    known = ids != NOWHERE
    side = 2 * width + 1
    highest = ndimage.maximum_filter(np.where(known, ids, 0), side, mode="nearest")
    lowest = ndimage.minimum_filter(ids, side, mode="nearest")
    near = known & ((highest > ids) | (lowest < ids))
    kept: NDArray[np.uint8] = np.where(near, ids, NOWHERE).astype(np.uint8)
    return kept


def surrounded(known: NDArray[np.bool_], width: int) -> NDArray[np.bool_]:
    """Whether all is known within some pixels; beyond the array nothing is missing.

    Args:
        known: (height, width) what is known.
        width: how many pixels, in rows and columns.

    Example:
        >>> surrounded(np.array([[True, True, True, False]]), 1).tolist()
        [[True, True, False, False]]
    """
    from scipy import ndimage

    inner: NDArray[np.bool_] = ndimage.minimum_filter(known, 2 * width + 1, mode="nearest")
    return inner


@dataclass(frozen=True, eq=False)
class Overlap:
    """Pixels of outlines by class; overlaps add up.

    Attributes:
        both: in truth and map.
        truth: in the truth.
        mapped: in the map.
    """

    both: Confusion
    truth: Confusion
    mapped: Confusion

    def __add__(self, other: Overlap) -> Overlap:
        return Overlap(self.both + other.both, self.truth + other.truth, self.mapped + other.mapped)

    @property
    def iou(self) -> Floats:
        """Boundary IoU by class; NaN for a class without outlines.

        After Cheng et al. (2021), Boundary IoU: improving object-centric image segmentation
        evaluation, equation 3.
        """
        union = self.truth + self.mapped - self.both
        return ratio(self.both.astype(float), union.astype(float))


def overlap(truth: NDArray[np.uint8], mapped: NDArray[np.uint8], classes: int) -> Overlap:
    """Count what `boundary` has kept of truth and map.

    Args:
        truth: class ids, 255 elsewhere, any shape.
        mapped: the same of the map.
        classes: how many classes there are.
    """
    return Overlap(
        _by_class(truth[truth == mapped], classes),
        _by_class(truth, classes),
        _by_class(mapped, classes),
    )


def _by_class(ids: NDArray[np.uint8], classes: int) -> Confusion:
    return np.bincount(ids.ravel(), minlength=NOWHERE + 1)[:classes]
