"""Accuracy of objects: precision, recall and panoptic quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio


@dataclass(frozen=True, eq=False)
class Segments:
    """Objects of the truth or of the map, which do not overlap one another.

    Attributes:
        ids: (n,) class of each object.
        pixels: (n,) its counted pixels, where truth and map are known.
        whole: (n,) all its pixels.
    """

    ids: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    whole: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class ObjectMatches:
    """Objects by class, (classes,) each; those of several maps add up.

    Attributes:
        matched: objects in truth and map, with an IoU above 0.5.
        missed: objects in the truth only.
        invented: objects in the map only.
        iou_sum: sum of the IoU of matched objects.
    """

    matched: Confusion
    missed: Confusion
    invented: Confusion
    iou_sum: Floats

    def __add__(self, other: ObjectMatches) -> ObjectMatches:
        return ObjectMatches(
            self.matched + other.matched,
            self.missed + other.missed,
            self.invented + other.invented,
            self.iou_sum + other.iou_sum,
        )

    @property
    def precision(self) -> Floats:
        """(classes,) share of the mapped objects that are matched; NaN where there are none."""
        return _share(self.matched, self.matched + self.invented)

    @property
    def recall(self) -> Floats:
        """(classes,) share of the true objects that are matched; NaN where there are none."""
        return _share(self.matched, self.matched + self.missed)

    @property
    def f1(self) -> Floats:
        """(classes,) harmonic mean of both, the recognition quality of Kirillov et al."""
        return _share(2 * self.matched, 2 * self.matched + self.invented + self.missed)

    @property
    def sq(self) -> Floats:
        """(classes,) segmentation quality: mean IoU of matched objects; NaN without any."""
        return ratio(self.iou_sum, self.matched.astype(float))

    @property
    def pq(self) -> Floats:
        """(classes,) panoptic quality; NaN where neither truth nor map has an object.

        Kirillov et al. (2019), Panoptic segmentation, equation 1.
        """
        every = 2 * self.matched + self.invented + self.missed
        return ratio(2 * self.iou_sum, every.astype(float))


def match(
    truth: Segments,
    mapped: Segments,
    pairs: NDArray[np.int64],
    shared: NDArray[np.int64],
    classes: int,
) -> ObjectMatches:
    """Match objects of one class whose IoU on counted pixels is above 0.5.

    As objects do not overlap one another, none can match twice (Kirillov et al. 2019, section
    4.1). Unmatched objects with half of their pixels or more uncounted are left out: their other
    half might have matched.

    Args:
        truth: objects of the truth.
        mapped: objects of the map.
        pairs: (n, 2) positions in truth and map of objects that overlap, each pair once.
        shared: (n,) counted pixels in the overlap.
        classes: number of classes.

    Example:
        >>> one = Segments(np.zeros(1, np.uint8), np.array([10]), np.array([10]))
        >>> match(one, one, np.array([[0, 0]]), np.array([6]), 1).missed.tolist()
        [1]
    """
    one, other = pairs.T
    iou = shared / np.maximum(truth.pixels[one] + mapped.pixels[other] - shared, 1)
    hit = (iou > 0.5) & (truth.ids[one] == mapped.ids[other])
    ids = truth.ids[one[hit]]
    return ObjectMatches(
        np.bincount(ids, minlength=classes),
        _unmatched(truth, one[hit], classes),
        _unmatched(mapped, other[hit], classes),
        np.bincount(ids, iou[hit], minlength=classes),
    )


def _unmatched(segments: Segments, matched: NDArray[np.int64], classes: int) -> Confusion:
    left = 2 * segments.pixels > segments.whole
    left[matched] = False
    return np.bincount(segments.ids[left], minlength=classes)


def _share(part: Confusion, of: Confusion) -> Floats:
    return ratio(part.astype(float), of.astype(float))
