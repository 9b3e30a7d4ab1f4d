"""Band statistics of chips, pooled from moments, so that the pixels are read once."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.chip_set import BandStatistics

type Moments = NDArray[np.float64]


def moments_of(image: NDArray[np.generic], valid: NDArray[np.bool_]) -> Moments:
    """Compute count, mean, sum of squared deviations, minimum and maximum of each band.

    Args:
        image: (bands, height, width).
        valid: (height, width), with at least one valid pixel.

    Returns:
        (5, bands).
    """
    values = image[:, valid].astype(np.float64)
    mean = values.mean(axis=1)
    squares = ((values - mean[:, None]) ** 2).sum(axis=1)
    count = np.full(len(values), values.shape[1], dtype=float)
    return np.stack([count, mean, squares, values.min(axis=1), values.max(axis=1)])


def pooled(names: list[str], moments: Moments) -> tuple[BandStatistics, ...]:
    """Pool the moments of chips, (chips, 5, bands), as Chan, Golub and LeVeque (1983).

    Sums of squares of pixels would lose the variance of bands with a large mean to rounding.
    """
    count, mean, squares = moments[:, 0], moments[:, 1], moments[:, 2]
    total = count.sum(axis=0)
    middle = (count * mean).sum(axis=0) / total
    spread = (squares + count * (mean - middle) ** 2).sum(axis=0)
    std = np.sqrt(spread / total)
    low, high = moments[:, 3].min(axis=0), moments[:, 4].max(axis=0)
    return tuple(
        BandStatistics(name=name, mean=m, std=s, min=lo, max=hi)
        for name, m, s, lo, hi in zip(names, middle, std, low, high, strict=True)
    )
