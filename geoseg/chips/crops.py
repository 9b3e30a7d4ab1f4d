"""Crops that begin anywhere, assembled from the chips they lie on."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.chip_set import ChipSet
from geoseg.chips.lattice import Lattice, lattice_of
from geoseg.classes import IGNORE

type Draws = NDArray[np.int64]
"""(crops, 3): a chip, and the row and column of the crop's corner relative to the chip's."""


@dataclass(frozen=True, eq=False)
class Batch:
    """Crops, as stored.

    Attributes:
        images: (crops, bands, side, side) in the scenes' dtype; 0 where there is no chip.
        valid: (crops, side, side).
        labels: (crops, side, side) class ids, 255 where unlabelled.
        chips: (crops,) chip that each crop was drawn for.
    """

    images: NDArray[Any]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    chips: NDArray[np.int64]


@dataclass(frozen=True)
class Cropper:
    """Reads crops from some of the chips, as if there were no others.

    Crops of training chips must not show held-out ones, even where those lie next to them.

    Attributes:
        chips: chip set.
        positions: chips that crops may show, ascending.
        side: side of a crop in pixels.
    """

    chips: ChipSet
    positions: NDArray[np.intp] = field(repr=False)
    side: int

    @cached_property
    def _cells(self) -> NDArray[np.int64]:
        table = self.chips.index[["scene", "row", "col"]].to_numpy(dtype=np.int64)
        cells: NDArray[np.int64] = table // np.array([1, *[self.chips.spec.size] * 2])
        return cells

    @cached_property
    def _lattice(self) -> Lattice:
        return lattice_of(self._cells, self.positions)

    def __call__(self, draws: Draws) -> Batch:
        """Read the crops of draws."""
        if self.side == self.chips.spec.size and not draws[:, 1:].any():
            return self._whole(draws[:, 0])
        shape = len(draws), self.side, self.side
        bands = len(self.chips.spec.bands)
        images = np.empty((shape[0], bands, *shape[1:]), dtype=self.chips.images.dtype)
        valid, labels = np.empty(shape, dtype=bool), np.empty(shape, dtype=np.uint8)
        for crop, chip, rows, cols, of_rows, of_cols in self._pieces(draws):
            to, of = (crop, ..., rows, cols), (chip, ..., of_rows, of_cols)
            images[to] = self.chips.images[of] if chip >= 0 else 0
            valid[to] = self.chips.valid[of] if chip >= 0 else False
            labels[to] = self.chips.labels[of] if chip >= 0 else IGNORE
        return Batch(images, valid, labels, draws[:, 0])

    def inside(self, draws: Draws) -> Draws:
        """Move crops that would show a missing chip back over their own, columns first."""
        if self.side <= self.chips.spec.size and not draws[:, 1:].any():
            return draws
        draws = draws.copy()
        low, high = sorted((0, self.chips.spec.size - self.side))
        for axis in (2, 1):
            beyond = ~self._is_whole(draws)
            draws[beyond, axis] = draws[beyond, axis].clip(low, high)
        return draws

    def _whole(self, chips: NDArray[np.int64]) -> Batch:
        held = self.chips
        return Batch(held.images[chips], held.valid[chips], held.labels[chips], chips)

    def _pieces(self, draws: Draws) -> Iterator[tuple[int, int, slice, slice, slice, slice]]:
        """Yield crop, chip, rows and columns in the crop, and rows and columns in the chip."""
        starts, stops, shifts = self._spans(draws)
        found = self._found(draws).tolist()
        spans = np.stack([starts, stops, starts + shifts, stops + shifts], axis=-1).tolist()
        for crop, (chips, (rows, cols)) in enumerate(zip(found, spans, strict=True)):
            for beside, (top, bottom, of_top, of_bottom) in zip(chips, rows, strict=True):
                for chip, (left, right, of_left, of_right) in zip(beside, cols, strict=True):
                    if top < bottom and left < right:
                        yield (
                            crop, chip, slice(top, bottom), slice(left, right),
                            slice(of_top, of_bottom), slice(of_left, of_right),
                        )  # fmt: skip

    def _spans(self, draws: Draws) -> tuple[Draws, Draws, Draws]:
        """Starts and stops of cells in the crop, (crops, 2, cells), and the shift to the chip."""
        size = self.chips.spec.size
        shifts = draws[:, 1:, None] - size * self._steps(draws)
        starts, stops = (-shifts).clip(0, self.side), (size - shifts).clip(0, self.side)
        return starts, stops, shifts

    def _found(self, draws: Draws) -> NDArray[np.int64]:
        """The chips that a crop lies on, (crops, cells, cells); -1 where there is none."""
        rows, cols = np.moveaxis(self._steps(draws), 1, 0)
        scene, row, col = self._cells[draws[:, 0]].T[:, :, None, None]
        cells = np.broadcast_arrays(scene, row + rows[:, :, None], col + cols[:, None, :])
        return self._lattice.find(np.stack(cells, axis=-1))

    def _steps(self, draws: Draws) -> NDArray[np.int64]:
        """Cells that a crop may lie on, relative to that of its chip, (crops, 2, cells)."""
        size = self.chips.spec.size
        return draws[:, 1:, None] // size + np.arange(-(-self.side // size) + 1)

    def _is_whole(self, draws: Draws) -> NDArray[np.bool_]:
        starts, stops, _ = self._spans(draws)
        rows, cols = np.moveaxis(starts < stops, 1, 0)
        missing = (self._found(draws) < 0) & rows[:, :, None] & cols[:, None, :]
        present: NDArray[np.bool_] = ~missing.any(axis=(1, 2))
        return present
