"""Whether a map is as often right as it says: reliability and expected calibration error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio

STEPS = 101
"""Confidence is in whole percent, 0 to 100."""
BINS = 20
"""Bins of 5 percent each, so that every whole percent lies in one of them."""


def tally(percent: NDArray[np.uint8], right: NDArray[np.bool_]) -> Confusion:
    """Count pixels by what they say of themselves.

    Args:
        percent: confidence, 0 to 100, any shape; larger values are left out.
        right: whether the map is right there, the same shape.

    Returns:
        (2, 101): pixels that are wrong, and pixels that are right, by percent. Tallies add up.

    Example:
        >>> tally(np.array([90, 90, 60, 255], np.uint8), np.array([1, 0, 1, 1], bool)).sum(axis=1)
        array([1, 2])
    """
    known = percent < STEPS
    both = percent[known].astype(np.int64) + STEPS * right[known]
    return np.bincount(both, minlength=2 * STEPS).reshape(2, STEPS)


@dataclass(frozen=True, eq=False)
class Reliability:
    """A tally by bins of equal width.

    Attributes:
        pixels: (bins,) how many.
        confidence: (bins,) their mean confidence, as a share of 1; NaN in empty bins.
        accuracy: (bins,) the share of them that is right; NaN in empty bins.
    """

    pixels: Confusion
    confidence: Floats
    accuracy: Floats

    @property
    def ece(self) -> float:
        """Expected calibration error: the mean over all pixels of |accuracy - confidence| of bins.

        As in Guo et al. (2017), On calibration of modern neural networks, equation 3. NaN where
        nothing was counted.
        """
        total = self.pixels.sum()
        gaps = self.pixels * np.abs(self.accuracy - self.confidence)
        return float(np.nansum(gaps) / total) if total else float("nan")


def reliability(tallied: Confusion) -> Reliability:
    """Sort a tally into bins: 0 to 4 percent, 5 to 9, ... 95 to 100.

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
