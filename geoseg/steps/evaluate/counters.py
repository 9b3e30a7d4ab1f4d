"""What is counted in every window, and what it adds up to."""

from __future__ import annotations

import logging
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import accuracy, grid, ground
from geoseg.accuracy import Confusion, Floats
from geoseg.accuracy.boundary import Overlap, boundary, overlap, surrounded
from geoseg.accuracy.calibration import tally
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.raster import FileSource
from geoseg.steps.evaluate.windows import Look

logger = logging.getLogger(__name__)


class Counter(Protocol):
    """Something that is counted in every window."""

    def add(self, look: Look) -> None:
        """Count a window."""
        ...


@dataclass(frozen=True)
class BlockCount:
    """A block of a map in which something counts.

    Attributes:
        window: its pixels; those at the map's edge may lie outside.
        pairs: truth class * classes + map class of the pairs that occur.
        counts: pixels of each.
    """

    window: Window
    pairs: NDArray[np.int64]
    counts: NDArray[np.int64]


class PixelCounter:
    """Confusion matrices of a map: in pixels, in square metres, and of each block.

    Args:
        classes: how many classes there are.
        geobox: the grid of the map.
        block_px: side of the blocks, in pixels.
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

    def add(self, look: Look) -> None:
        """Count a window."""
        truth = np.where(look.counted, look.core(look.truth), IGNORE).astype(np.uint8)
        mapped = look.core(look.mapped)
        self.area += area_confusion(truth, mapped, look.window, self.geobox, self.classes)
        for piece in self._pieces(look.window):
            slices = piece.relative_to(look.window).slices
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
        """What a window holds of each block it meets."""
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
    """The confusion matrix of a window in square metres; NaN where the CRS has no ground.

    Args:
        truth: class ids; more than there are classes where a pixel does not count.
        mapped: class ids, the same shape.
        window: where they lie.
        geobox: on which grid.
        classes: how many classes there are.
    """
    areas = known_areas_m2(window, geobox)
    use = (truth < classes) & (mapped < classes)
    pairs = np.where(use, truth.astype(np.int64) * classes + mapped, classes**2)
    return ground.areas_by_value(pairs, areas, classes**2).reshape(classes, classes)


def known_areas_m2(window: Window, geobox: GeoBox) -> Floats:
    """The areas of a window's pixels, as `ground.pixel_areas_m2`; NaN without a ground."""
    try:
        return ground.pixel_areas_m2(geobox, window)
    except GridError as error:
        logger.debug("%s", error)
        return np.full((1, 1), np.nan)


class BoundaryCounter:
    """Outlines of a map, where truth and map are known on either side.

    Sparse labels end where no outline is; there a map's outline is neither right nor wrong.

    Args:
        classes: how many classes there are.
        width: how far from an outline pixels count.
    """

    def __init__(self, classes: int, width: int) -> None:
        self.classes, self.width = classes, width
        nothing: Confusion = np.zeros(classes, dtype=np.int64)
        self.overlap = Overlap(nothing, nothing, nothing)

    def add(self, look: Look) -> None:
        """Count a window; it has to see ``width`` pixels around it."""
        known = (look.truth != IGNORE) & (look.mapped != IGNORE)
        sure = look.counted & look.core(surrounded(known, self.width))
        truth, mapped = (
            look.core(boundary(ids, self.width))[sure] for ids in (look.truth, look.mapped)
        )
        self.overlap += overlap(truth, mapped, self.classes)


@dataclass
class ConfidenceCounter:
    """What a map says of itself.

    Attributes:
        source: percent, on the grid of the map.
        tallied: (2, 101) pixels that are wrong and right, by percent.
    """

    source: FileSource
    tallied: Confusion = field(default_factory=lambda: np.zeros((2, 101), dtype=np.int64))

    def add(self, look: Look) -> None:
        """Count a window."""
        block = self.source.read(look.window)
        use = look.counted & block.valid
        right = look.core(look.truth) == look.core(look.mapped)
        self.tallied += tally(block.pixels[0][use], right[use])
