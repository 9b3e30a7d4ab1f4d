"""Confidence intervals of scores: a bootstrap over blocks of pixels."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.confusion import Confusion, Floats, overall, scores

REPLICATES = 1000
"""Percentiles in the tails need more than standard errors do, for which 200 would be enough."""
PERCENT = (2.5, 97.5)


@dataclass(frozen=True, eq=False)
class Intervals:
    """95 % intervals, (2,) or (2, classes), lower ends first; NaN where a score is undefined.

    Attributes:
        miou: of mean IoU.
        overall: of overall accuracy.
        iou: by class.
        f1: by class.
        precision: by class.
        recall: by class.
    """

    miou: Floats
    overall: Floats
    iou: Floats
    f1: Floats
    precision: Floats
    recall: Floats


@dataclass(frozen=True, eq=False)
class Blocks:
    """Confusion matrices of many blocks, without their zeros.

    Attributes:
        block: (n,) number of the block.
        pair: (n,) truth class * classes + mapped class.
        count: (n,) pixels.
    """

    block: NDArray[np.int64]
    pair: NDArray[np.int64]
    count: NDArray[np.int64]


def intervals(blocks: Blocks, classes: int, *, seed: int = 0) -> Intervals:
    """Resample blocks 1000 times and take percentiles of the scores.

    Blocks are resampled rather than pixels, because neighbouring pixels are right or wrong
    together: treated as independent, they would give intervals that are far too narrow.
    Percentile intervals after Efron and Tibshirani (1993), An introduction to the bootstrap,
    chapter 13.

    Args:
        blocks: confusion of each block.
        classes: number of classes.
        seed: the same seed gives the same intervals.

    Returns:
        The intervals; all NaN with fewer than two blocks.

    Example:
        >>> alike = Blocks(np.arange(3), np.zeros(3, int), np.full(3, 10))
        >>> intervals(alike, 2).overall.tolist()
        [1.0, 1.0]
    """
    from scipy import sparse

    names, rows = np.unique(blocks.block, return_inverse=True)
    pairs, columns = np.unique(blocks.pair, return_inverse=True)
    if len(names) < 2:
        return Intervals(*(np.full((2, *shape), np.nan) for shape in _shapes(classes)))
    # Sparse, as a block holds few of all class pairs: a draw is one product of vector and table.
    table = sparse.csr_array((blocks.count, (rows, columns)), shape=(len(names), len(pairs)))
    rng, drawn = np.random.default_rng(seed), []
    for _ in range(REPLICATES):
        times = np.bincount(rng.integers(len(names), size=len(names)), minlength=len(names))
        confusion = np.zeros(classes * classes, dtype=np.int64)
        confusion[pairs] = times @ table
        drawn.append(_scored(confusion.reshape(classes, classes)))
    return Intervals(*(_percentiles(np.stack(each)) for each in zip(*drawn, strict=True)))


def _shapes(classes: int) -> list[tuple[int, ...]]:
    return [() if each.name in ("miou", "overall") else (classes,) for each in fields(Intervals)]


def _scored(confusion: Confusion) -> tuple[Floats, ...]:
    """In the order of `Intervals`."""
    found = scores(confusion)
    totals = np.array(found.miou), np.array(overall(confusion))
    return *totals, found.iou, found.f1, found.precision, found.recall


def _percentiles(drawn: Floats) -> Floats:
    """Percentiles of the draws in which a score is defined."""
    defined = ~np.isnan(drawn).all(axis=0)
    ends = np.full((2, *drawn.shape[1:]), np.nan)
    ends[:, defined] = np.nanpercentile(drawn[:, defined], PERCENT, axis=0)
    return ends
