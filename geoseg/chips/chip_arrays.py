"""Some of the chips of a set, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoseg.raster.block import Mask, Pixels


@dataclass(frozen=True, eq=False)
class ChipArrays:
    """The stored arrays of a chip set, and which of its chips are meant.

    The arrays are those of the whole set, so that none is copied; they may be memory-mapped.

    Attributes:
        images: (chips, bands, size, size), as stored; meaningless where not valid.
        valid: (chips, size, size).
        labels: (chips, size, size) class ids, 255 where unlabelled.
        positions: (n,) indices of the chips meant, along the first axis of the arrays.
    """

    images: Pixels
    valid: Mask
    labels: NDArray[np.uint8]
    positions: NDArray[np.intp]

    def __len__(self) -> int:
        """How many chips are meant."""
        return len(self.positions)

    def __iter__(self) -> Iterator[tuple[Pixels, Mask, NDArray[np.uint8]]]:
        """Pixels, validity and labels, chip by chip."""
        for at in self.positions:
            yield self.images[at], self.valid[at], self.labels[at]

    def take(self, numbers: NDArray[np.intp]) -> ChipArrays:
        """Keep the chips with these numbers, counted among those meant."""
        return replace(self, positions=self.positions[numbers])
