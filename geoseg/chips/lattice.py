"""The lattice of chips in each scene, looked up by cell."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MARGIN = 1 << 10
"""Cells above and left of a scene that may be looked up, which keeps packed numbers positive."""
BITS = 21
"""Of a row or column: scenes have up to two million cells a side, and 2 x 21 bits leave room for
two million scenes in an int64."""


@dataclass(frozen=True, eq=False)
class Lattice:
    """Chips by scene and cell.

    Attributes:
        keys: (n,) packed scene, row and column of the cells with a chip, ascending.
        chips: (n,) chip in each.
    """

    keys: NDArray[np.int64]
    chips: NDArray[np.int64]

    def find(self, cells: NDArray[np.int64]) -> NDArray[np.int64]:
        """Find the chip in each cell, (...,); -1 where there is none.

        Args:
            cells: (..., 3) scene, row and column of cells.
        """
        keys = _packed(cells)
        at = np.searchsorted(self.keys, keys).clip(max=len(self.keys) - 1)
        return np.where(self.keys[at] == keys, self.chips[at], -1)


def lattice_of(cells: NDArray[np.int64], chips: NDArray[np.intp]) -> Lattice:
    """Make the lattice of some chips.

    Args:
        cells: (chips, 3) scene, row and column of the cell of every chip.
        chips: (n,) chips of the lattice, at least one.

    Example:
        >>> cells = np.array([[0, 0, 0], [0, 0, 1], [0, 1, 0]])
        >>> lattice = lattice_of(cells, np.array([0, 2]))
        >>> lattice.find(np.array([[0, 1, 0], [0, 0, 1], [0, -1, 0]])).tolist()
        [2, -1, -1]
    """
    keys = _packed(cells[chips])
    order = np.argsort(keys)
    return Lattice(keys[order], chips[order].astype(np.int64))


def _packed(cells: NDArray[np.int64]) -> NDArray[np.int64]:
    scene, row, col = np.moveaxis(cells, -1, 0)
    packed: NDArray[np.int64] = (scene << 2 * BITS) + ((row + MARGIN) << BITS) + (col + MARGIN)
    return packed
