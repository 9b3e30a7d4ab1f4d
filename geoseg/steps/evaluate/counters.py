"""Counters that each compared window is added to: pixels, blocks, outlines, confidence."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import accuracy, grid, ground
from geoseg.accuracy import Confusion, Floats
from geoseg.accuracy.boundary import BoundaryCounts, boundary, count_boundaries, surrounded
from geoseg.accuracy.reliability import tally
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.maps.pixel_areas import known_areas_m2
from geoseg.raster import FileSource
from geoseg.steps.evaluate.windows import ComparedWindow

logger = logging.getLogger(__name__)


class Counter(Protocol):
    """A measure that adds up window by window."""

    def add(self, compared: ComparedWindow) -> None:
        """Count a window."""
        ...


@dataclass(frozen=True)
class BlockCount:
    """Confusion of a block, without its zeros.

    Attributes:
        window: the block; may reach beyond the edge of the map.
        pairs: (n,) truth class * classes + mapped class of the pairs that occur.
        counts: (n,) pixels of each pair.
    """

    window: Window
    pairs: NDArray[np.int64]
    counts: NDArray[np.int64]


class PixelCounter:
    """Confusion matrices of a map: in pixels, in square metres, and by block.

    Args:
        classes: number of classes.
        geobox: the grid of the map.
        block_px: side of the blocks in pixels.
    """

    def __init__(self, classes: int, geobox: GeoBox, block_px: int) -> None:
        self.classes, self.geobox, self.block_px = classes, geobox, block_px
        self.confusion: Confusion = np.zeros((classes, classes), dtype=np.int64)
        self.area: Floats = np.zeros((classes, classes))
        self._blocks: dict[tuple[int, int], Confusion] = {}
        self._partial: list[BlockCount] = []
        try:
            ground.surface_of(grid.crs_of(geobox).proj)
        except GridError as error:
            logger.warning("areas are left out: %s", error)

    def add(self, compared: ComparedWindow) -> None:
        """Count a window."""
        truth = np.where(compared.counted, compared.core(compared.truth), IGNORE).astype(np.uint8)
        mapped = compared.core(compared.mapped)
        self.area += area_confusion(truth, mapped, compared.window, self.geobox, self.classes)
        for piece in self._pieces(compared.window):
            slices = piece.relative_to(compared.window).slices
            counted = accuracy.count(truth[slices], mapped[slices], self.classes)
            if counted.any():
                self.confusion += counted
                self._keep(piece, counted)

    def blocks(self) -> list[BlockCount]:
        """The blocks, row by row."""
        side = self.block_px
        found: dict[tuple[int, int], dict[int, int]] = {}
        for each in self._partial:
            place = each.window.row // side, each.window.col // side
            block = found.setdefault(place, {})
            for pair, count in zip(each.pairs.tolist(), each.counts.tolist(), strict=True):
                block[pair] = block.get(pair, 0) + count
        return [
            BlockCount(
                Window(row * side, col * side, side, side),
                np.array(list(block), dtype=np.int64),
                np.array(list(block.values()), dtype=np.int64),
            )
            for (row, col), block in sorted(found.items())
        ]

    def _pieces(self, window: Window) -> list[Window]:
        """The parts of a window that lie in different blocks; blocks start at the map's corner."""
        side = self.block_px
        row, col = window.row // side * side, window.col // side * side
        stop_row, stop_col = window.stop
        frame = Window(row, col, stop_row - row, stop_col - col)
        pieces = (block.intersect(window) for block in grid.split(frame, side))
        return [piece for piece in pieces if piece is not None]

    def _keep(self, piece: Window, counted: Confusion) -> None:
        flat = counted.ravel()
        pairs = np.flatnonzero(flat)
        self._partial.append(BlockCount(piece, pairs, flat[pairs]))


def area_confusion(
    truth: NDArray[np.uint8],
    mapped: NDArray[np.uint8],
    window: Window,
    geobox: GeoBox,
    classes: int,
) -> Floats:
    """(classes, classes) square metres, truth by row; NaN where the CRS is not tied to the ground.

    Args:
        truth: (height, width) class ids; 255 where a pixel does not count.
        mapped: (height, width) class ids.
        window: their window of the grid.
        geobox: the grid.
        classes: number of classes.
    """
    areas = known_areas_m2(window, geobox)
    use = (truth < classes) & (mapped < classes)
    pairs = np.where(use, truth.astype(np.int64) * classes + mapped, classes**2)
    return ground.areas_by_value(pairs, areas, classes**2).reshape(classes, classes)


class BoundaryCounter:
    """Pixels near outlines, where truth and map are known on either side.

    Sparse labels end without an outline being there, so that a mapped outline near their edge is
    neither right nor wrong.

    Args:
        classes: number of classes.
        width: distance in pixels from an outline up to which pixels count.
    """

    def __init__(self, classes: int, width: int) -> None:
        self.classes, self.width = classes, width
        nothing: Confusion = np.zeros(classes, dtype=np.int64)
        self.counts = BoundaryCounts(nothing, nothing, nothing)

    def add(self, compared: ComparedWindow) -> None:
        """Count a window, which needs a margin of ``width`` pixels."""
        known = (compared.truth != IGNORE) & (compared.mapped != IGNORE)
        sure = compared.counted & compared.core(surrounded(known, self.width))
        truth, mapped = (
            compared.core(boundary(ids, self.width))[sure]
            for ids in (compared.truth, compared.mapped)
        )
        self.counts += count_boundaries(truth, mapped, self.classes)


@dataclass
class ConfidenceCounter:
    """Wrong and right pixels by the confidence of the map.

    Attributes:
        source: confidence in percent, on the grid of the map.
        tallied: (2, 101) wrong and right pixels by percent.
    """

    source: FileSource
    tallied: Confusion = field(default_factory=lambda: np.zeros((2, 101), dtype=np.int64))

    def add(self, compared: ComparedWindow) -> None:
        """Count a window."""
        block = self.source.read(compared.window)
        use = compared.counted & block.valid
        right = compared.core(compared.truth) == compared.core(compared.mapped)
        self.tallied += tally(block.pixels[0][use], right[use])
