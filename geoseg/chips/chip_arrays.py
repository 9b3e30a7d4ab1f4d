"""Chips as arrays: some of a chip set, each as it is stored."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from geoseg.raster.block import Mask, Pixels


@dataclass(frozen=True, eq=False)
class Samples:
    """Chips with labels, which may be few.

    Attributes:
        images: (chips, bands, size, size), as stored; may be memory-mapped.
        valid: (chips, size, size).
        labels: (chips, size, size) class ids, 255 where nothing is known.
        positions: which chips.
    """

    images: Pixels
    valid: Mask
    labels: NDArray[np.uint8]
    positions: NDArray[np.intp]

    def __iter__(self) -> Iterator[tuple[Pixels, Mask, NDArray[np.uint8]]]:
        """Pixels, validity and labels of one chip after the other."""
        for at in self.positions:
            yield self.images[at], self.valid[at], self.labels[at]
