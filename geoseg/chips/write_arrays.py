"""Write the arrays of a chip directory, part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np

from geoseg import files
from geoseg.chips.cut import ChipPart

FIELDS = ("images", "valid", "labels")


def write_arrays(folder: Path, parts: Callable[[], Iterator[ChipPart]], count: int) -> None:
    """Write images.npy, valid.npy and labels.npy; one part is in memory at a time.

    Args:
        folder: chip directory to write.
        parts: starts over on every call, and yields the chips in order.
        count: number of chips in all parts.
    """
    # one file after the other: memory holds one part, and the disk is written in sequence
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
            del array  # Windows renames no file that is mapped
