"""The arrays of a chip directory, written piece by piece."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from geoseg import files
from geoseg.chips.cut import Part

FIELDS = ("images", "valid", "labels")


def write_arrays(folder: Path, parts: Callable[[], Iterator[Part]], count: int) -> None:
    """Write images.npy, valid.npy and labels.npy; one part is in memory at a time.

    Args:
        folder: the chip directory.
        parts: begins anew each time; the chips in their order.
        count: how many chips they hold together.
    """
    for field in FIELDS:
        example = getattr(next(parts()), field)
        with files.whole(folder / f"{field}.npy") as temporary:
            array = np.lib.format.open_memmap(
                temporary, mode="w+", dtype=example.dtype, shape=(count, *example.shape[1:])
            )
            at = 0
            for part in parts():
                array[at : at + len(part.corners)] = getattr(part, field)
                at += len(part.corners)
            array.flush()
            del array
