"""A table of the classes in each split, for the log."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.split import LEFT_OUT, TEST, TRAIN, VAL, SplitNames


def balance(names: SplitNames, pixels: NDArray[np.int64], classes: Sequence[str]) -> Iterator[str]:
    """Yield the lines of a table: chips, labelled pixels and class percentages by split.

    Args:
        names: (chips,) splits.
        pixels: (chips, classes) labelled pixels.
        classes: class names.

    Example:
        >>> pixels = np.array([[60, 40], [0, 50]])
        >>> for line in balance(np.array(["train", "val"]), pixels, ["land", "water"]):
        ...     print(line)
        split   chips      pixels   land  water
        train       1         100  60.0%  40.0%
        val         1          50   0.0% 100.0%
    """
    widths = [max(6, len(each)) for each in classes]
    heads = " ".join(f"{each:>{width}}" for each, width in zip(classes, widths, strict=True))
    yield f"split   chips      pixels {heads}"
    for split in (TRAIN, VAL, TEST, LEFT_OUT):
        chosen = names == split
        if chosen.any():
            counts = pixels[chosen].sum(axis=0)
            shares = counts / max(1, counts.sum())
            cells = " ".join(f"{s:>{width}.1%}" for s, width in zip(shares, widths, strict=True))
            yield f"{split:6} {chosen.sum():6} {counts.sum():11,} {cells}"
