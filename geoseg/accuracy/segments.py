"""How many objects are found: precision, recall and panoptic quality."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio


@dataclass(frozen=True, eq=False)
class Segments:
    """Objects of the truth or of the map; they do not overlap each other.

    Attributes:
        ids: (n,) class of each.
        pixels: (n,) how many of its pixels are counted: those on which truth and map are known.
        whole: (n,) how many pixels it has.
    """

    ids: NDArray[np.uint8]
    pixels: NDArray[np.int64]
    whole: NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Found:
    """Objects by class; counts of several maps add up.

    Attributes:
        matched: in truth and map: they share more than half of what either covers.
        missed: in the truth only.
        invented: in the map only.
        iou_sum: of those matched.
    """

    matched: Confusion
    missed: Confusion
    invented: Confusion
    iou_sum: Floats

    def __add__(self, other: Found) -> Found:
        return Found(
            self.matched + other.matched,
            self.missed + other.missed,
            self.invented + other.invented,
            self.iou_sum + other.iou_sum,
        )

    @property
    def precision(self) -> Floats:
        """Share of the map's objects that are matched; NaN where it has none."""
        return _share(self.matched, self.matched + self.invented)

    @property
    def recall(self) -> Floats:
        """Share of the truth's objects that are matched; NaN where there are none."""
        return _share(self.matched, self.matched + self.missed)

    @property
    def f1(self) -> Floats:
        """Harmonic mean of both; what Kirillov et al. call recognition quality."""
        return _share(2 * self.matched, 2 * self.matched + self.invented + self.missed)

    @property
    def sq(self) -> Floats:
        """Segmentation quality: mean IoU of matched objects; NaN where there are none."""
        return ratio(self.iou_sum, self.matched.astype(float))

    @property
    def pq(self) -> Floats:
        """Panoptic quality; NaN where neither truth nor map has an object.

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
) -> Found:
    """Match objects of one class that share more than half of what both together cover.

    As objects do not overlap each other, none can match twice. Only counted pixels matter; an
    object that is not matched, and has at least half of its pixels elsewhere, is left out.

    Args:
        truth: objects of the truth.
        mapped: objects of the map.
        pairs: (n, 2) positions in truth and map of objects that meet, each pair once.
        shared: (n,) counted pixels that they share.
        classes: how many classes there are.
    """
    one, other = pairs.T
    iou = shared / np.maximum(truth.pixels[one] + mapped.pixels[other] - shared, 1)
    hit = (iou > 0.5) & (truth.ids[one] == mapped.ids[other])
    ids = truth.ids[one[hit]]
    return Found(
        np.bincount(ids, minlength=classes),
        _alone(truth, one[hit], classes),
        _alone(mapped, other[hit], classes),
        np.bincount(ids, iou[hit], minlength=classes),
    )


def _alone(segments: Segments, matched: NDArray[np.int64], classes: int) -> Confusion:
    left = 2 * segments.pixels > segments.whole
    left[matched] = False
    return np.bincount(segments.ids[left], minlength=classes)


def _share(part: Confusion, of: Confusion) -> Floats:
    return ratio(part.astype(float), of.astype(float))
