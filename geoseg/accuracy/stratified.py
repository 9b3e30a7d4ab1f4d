"""Accuracy and area from a stratified random sample, after Olofsson et al. (2014).

Olofsson, P., Foody, G. M., Herold, M., Stehman, S. V., Woodcock, C. E. and Wulder, M. A. (2014):
Good practices for estimating area and assessing accuracy of land change. Remote Sensing of
Environment 148, 42-57. Equation numbers refer to this paper. It has the map by row; here, as
everywhere in geoseg, the truth is by row and the map, whose classes are the strata, by column.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, ratio

Z95 = 1.96
"""Standard errors from the middle of a 95 % interval to its ends, of a normal distribution."""


@dataclass(frozen=True, eq=False)
class Estimate:
    """Accuracy and area of a whole map, as shares of 1 with standard errors.

    Attributes:
        proportions: (classes, classes) share of the map, truth by row, map by column (4).
        overall: overall accuracy (1).
        overall_se: its standard error (5).
        users: (classes,) user's accuracy, the share of the mapped area that is right (2); NaN for
            a class that is not mapped.
        users_se: (classes,) its standard error (6).
        producers: (classes,) producer's accuracy, the share of the true area that is mapped (3);
            NaN for a class that the sample never found.
        producers_se: (classes,) its standard error (7).
        area: (classes,) share of the map that truly is of the class (9).
        area_se: (classes,) its standard error (10).
    """

    proportions: Floats
    overall: float
    overall_se: float
    users: Floats
    users_se: Floats
    producers: Floats
    producers_se: Floats
    area: Floats
    area_se: Floats


def estimate(
    counts: Confusion, weights: Floats, pixels: NDArray[np.int64] | None = None
) -> Estimate:
    """Estimate accuracy and area from a sample in which each map class is a stratum.

    The variance within a class is that of points drawn without replacement from so many pixels:
    a class of which every pixel is in the sample adds none (Cochran, Sampling Techniques, 1977,
    theorem 5.3). The paper leaves out that factor, which is 1 for large maps.

    Args:
        counts: (classes, classes) sample points, truth by row, mapped class by column.
        weights: (classes,) share of the map's area by mapped class; sums to 1.
        pixels: (classes,) pixels of each mapped class; a large map without.

    Returns:
        The estimates. A mapped class without a point makes everything that depends on it NaN, one
        with a single point of several pixels the standard errors.

    Example:
        >>> found = estimate(np.array([[9, 0], [1, 10]]), np.array([0.5, 0.5]))
        >>> round(found.overall, 3), found.area.round(3).tolist()
        (0.95, [0.45, 0.55])
    """
    used = weights > 0
    points = counts.sum(axis=0).astype(float)
    seen = np.where(used, counts / np.where(points > 0, points, np.nan), 0.0)
    spread = seen * (1 - seen) / np.where(used, np.where(points > 1, points - 1, np.nan), 1.0)
    if pixels is not None:
        left = np.clip(1 - points / np.maximum(pixels, 1), 0, 1)
        spread = np.where(left == 0, np.where(np.isnan(seen), np.nan, 0), spread * left)
    proportions, variance = weights * seen, weights**2 * spread
    area = proportions.sum(axis=1)
    right = np.diag(seen)
    producers = ratio(np.diag(proportions).copy(), area)
    return Estimate(
        proportions=proportions,
        overall=float(np.trace(proportions)),
        overall_se=float(np.sqrt(np.trace(variance))),
        users=np.where(used, right, np.nan),
        users_se=np.where(used, np.sqrt(np.diag(spread)), np.nan),
        producers=producers,
        producers_se=_producers_se(producers, variance, area),
        area=area,
        area_se=np.sqrt(variance.sum(axis=1)),
    )


def sample_size(weights: Floats, users: Floats, standard_error: float) -> int:
    """Number of points that gives overall accuracy a standard error (13), for a large map.

    Args:
        weights: (classes,) share of the map's area by mapped class.
        users: (classes,) expected user's accuracy.
        standard_error: standard error to reach, such as 0.01.

    Example:
        >>> weights = np.array([0.02, 0.015, 0.32, 0.645])
        >>> sample_size(weights, np.array([0.7, 0.6, 0.9, 0.95]), 0.01)
        641
    """
    spread = float((weights * np.sqrt(users * (1 - users))).sum())
    return round((spread / standard_error) ** 2)


def allocate(total: int, weights: Floats, available: NDArray[np.int64]) -> NDArray[np.int64]:
    """Allocate points to strata in proportion to area, with a minimum for rare classes.

    Olofsson et al. (2014, section 5.1) advise 50 to 100 points for each rare class, and to share
    the rest by area. Here the minimum is 50 points, or half of an equal share if that is less.

    Args:
        total: points to allocate.
        weights: (classes,) share of the map's area.
        available: (classes,) pixels of each class, the most points that it can get.

    Returns:
        (classes,) points; they sum to ``total``, or to the number of pixels if that is less.

    Example:
        >>> allocate(640, np.array([0.02, 0.015, 0.32, 0.645]), np.full(4, 10**6)).tolist()
        [50, 50, 179, 361]
    """
    there = available > 0
    total = min(total, int(available.sum()))
    least = np.minimum(min(50, total // (2 * max(int(there.sum()), 1))), available)
    points, open_ = least.astype(float), there.copy()
    # Raising a class to its minimum leaves less for the others, which may push one of them below
    # its own: so classes are settled at a bound round by round, until the rest fits between both.
    while open_.any():
        left = total - points[~open_].sum()
        share = np.where(open_, left * weights / weights[open_].sum(), points)
        settled = open_ & (share < least)
        if not settled.any():
            settled = open_ & (share > available)
        points = np.where(settled, np.clip(share, least, available), np.where(open_, share, points))
        if not settled.any():
            break
        open_ &= ~settled
    return _whole(points, total, available)


def _whole(points: Floats, total: int, available: NDArray[np.int64]) -> NDArray[np.int64]:
    """Round to whole numbers with the same sum, by largest remainder."""
    whole = np.floor(points + 1e-9).astype(np.int64)
    order = np.argsort(whole - points, kind="stable")
    for i in np.tile(order, len(order)):
        if whole.sum() >= total:
            break
        whole[i] += whole[i] < available[i]
    return whole


def _producers_se(producers: Floats, variance: Floats, area: Floats) -> Floats:
    """Equation 7, with areas as shares of the map."""
    own = np.diag(variance)
    others = variance.sum(axis=1) - own
    return np.sqrt(ratio((1 - producers) ** 2 * own + producers**2 * others, area**2))
