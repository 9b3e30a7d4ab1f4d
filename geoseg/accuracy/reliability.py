"""Calibration of a map's confidence: reliability diagram and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio

STEPS = 101
"""Confidence is stored in whole percent, 0 to 100."""
BINS = 20
"""Bins of 5 percent each, so that every whole percent lies in one of them."""


def tally(percent: NDArray[np.uint8], right: NDArray[np.bool_]) -> Confusion:
    """Count wrong and right pixels by confidence.

    Args:
        percent: confidence, 0 to 100, any shape; larger values, such as nodata, are left out.
        right: whether the map is right, the same shape.

    Returns:
        (2, 101) wrong pixels, then right ones, by percent. Tallies add up.

    Example:
        >>> tally(np.array([90, 90, 60, 255], np.uint8), np.array([1, 0, 1, 1], bool)).sum(axis=1)
        array([1, 2])
    """
    known = percent < STEPS
    both = percent[known].astype(np.int64) + STEPS * right[known]
    return np.bincount(both, minlength=2 * STEPS).reshape(2, STEPS)


@dataclass(frozen=True, eq=False)
class Reliability:
    """Confidence against accuracy, in bins of equal width.

    Attributes:
        pixels: (bins,) number of pixels.
        confidence: (bins,) mean confidence as a share of 1; NaN in empty bins.
        accuracy: (bins,) share of right pixels; NaN in empty bins.
    """

    pixels: Confusion
    confidence: Floats
    accuracy: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: mean of |accuracy - confidence|, weighted by pixels.

        As in Guo et al. (2017), On calibration of modern neural networks, equation 3. NaN without
        a pixel.
        """
        total = self.pixels.sum()
        gaps = self.pixels * np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gaps) / total) if total else float("nan")


def reliability(tallied: Confusion) -> Reliability:
    """Sum a tally into bins: 0 to 4 percent, 5 to 9, ... 95 to 100.

    Args:
        tallied: (2, 101) wrong and right pixels by percent, from `tally`.

    Example:
        >>> said = np.full(10, 80, np.uint8)
        >>> reliability(tally(said, np.arange(10) < 6)).ece.__round__(3)
        0.2
    """
    percent = np.arange(STEPS)
    bins = np.minimum(percent * BINS // (STEPS - 1), BINS - 1)
    pixels = np.bincount(bins, tallied.sum(axis=0), minlength=BINS)
    said = np.bincount(bins, tallied.sum(axis=0) * percent, minlength=BINS) / (STEPS - 1)
    right = np.bincount(bins, tallied[1], minlength=BINS)
    return Reliability(pixels.astype(np.int64), ratio(said, pixels), ratio(right, pixels))
