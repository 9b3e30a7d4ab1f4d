"""Truth and map, window by window, with a mask of the pixels that count."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid, ground
from geoseg.chips import open_chips
from geoseg.classes import IGNORE
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.labels import Labels
from geoseg.maps.land_map import WINDOW_PX, LandMap, open_area
from geoseg.progress import track
from geoseg.steps.evaluate.options import EvaluateOptions

MIN_BLOCKS, MAX_BLOCKS = 30, 4096
"""A bootstrap of fewer blocks is unstable; of more it takes long and is no better."""


@dataclass(frozen=True, eq=False)
class ComparedWindow:
    """Truth and map on a window.

    Attributes:
        window: the pixels to count; windows partition the map.
        wide: the window with a margin, cut at the edge of the raster.
        truth: class ids of the wide window, 255 where unlabelled.
        mapped: class ids of the wide window, 255 where the map has no data.
        counted: (height, width) of the window; True where truth and map are known, inside what
            the options hold out.
    """

    window: Window
    wide: Window
    truth: NDArray[np.uint8]
    mapped: NDArray[np.uint8]
    counted: NDArray[np.bool_]

    def core[T: np.generic](self, pixels: NDArray[T]) -> NDArray[T]:
        """Crop pixels of the wide window to the window."""
        return pixels[self.window.relative_to(self.wide).slices]


class ComparedWindows:
    """The windows of a map with at least one pixel that counts, row by row.

    Args:
        land_map: the map.
        truth: the truth on its grid.
        options: which pixels count.
        margin: width in pixels of the margin around each window.

    Attributes:
        whole: after iterating, whether every mapped pixel was counted.

    Raises:
        ApartError: the area to count does not meet the map.
        GridError: the map is on another grid than the chips.
    """

    def __init__(
        self, land_map: LandMap, truth: Labels, options: EvaluateOptions, *, margin: int
    ) -> None:
        self.land_map, self.truth, self.margin = land_map, truth, margin
        self.area = None if options.area is None else open_area(options.area, land_map.geobox)
        self.held_out = _held_out(options, land_map.geobox)
        self.whole = True

    def __iter__(self) -> Iterator[ComparedWindow]:
        everything = grid.whole(self.land_map.geobox.shape)
        windows = list(grid.split(everything, WINDOW_PX))
        for window in track(windows, label="windows", total=len(windows)):
            compared = self._compared(window, everything)
            if compared is not None and compared.counted.any():
                yield compared

    def _compared(self, window: Window, everything: Window) -> ComparedWindow | None:
        wide = window.expand(self.margin).intersect(everything)
        assert wide is not None, "a window lies inside its raster"
        inside = self._inside(window)
        # Labels are sparse, and maps large: the map is read only where there is truth to compare.
        truth = self.truth.read(wide) if inside.any() else None
        if truth is None or (truth == IGNORE).all():
            self.whole = self.whole and not (self.land_map.read(window) != IGNORE).any()
            return None
        mapped = self.land_map.read(wide)
        compared = ComparedWindow(window, wide, truth, mapped, inside)
        known = compared.core(mapped) != IGNORE
        inside &= known & (compared.core(truth) != IGNORE)
        self.whole = self.whole and bool((inside == known).all())
        return compared

    def _inside(self, window: Window) -> NDArray[np.bool_]:
        """(height, width) mask of what chips and area hold out."""
        inside = np.full(window.shape, self.held_out is None)
        if self.held_out is not None:
            starts, stops = self.held_out[:, :2], self.held_out[:, 2:]
            near = (starts < window.stop).all(axis=1) & (stops > (window.row, window.col)).all(
                axis=1
            )
            for row, col, stop_row, stop_col in self.held_out[near] - (window.row, window.col) * 2:
                inside[max(row, 0) : stop_row, max(col, 0) : stop_col] = True
        if self.area is not None and inside.any():
            inside &= self.area.read(window) != IGNORE
        return inside


def block_px(options: EvaluateOptions, maps: Sequence[LandMap]) -> int:
    """Side of the blocks to resample: as given, as the chips', or by the size of the maps.

    By size, it is the largest of 512, 256 ... 32 px that makes at least 30 blocks, or more than
    512 px where that would make more than 4096.
    """
    if options.block is not None:
        return options.block
    if options.chips is not None:
        return open_chips(options.chips).spec.block
    side = 512
    while side > 32 and _blocks(maps, side) < MIN_BLOCKS:
        side //= 2
    while _blocks(maps, side) > MAX_BLOCKS:
        side *= 2
    return side


def _blocks(maps: Sequence[LandMap], side: int) -> int:
    shapes = [each.geobox.shape for each in maps]
    return sum(-(-height // side) * -(-width // side) for height, width in shapes)


def _held_out(options: EvaluateOptions, geobox: GeoBox) -> NDArray[np.int64] | None:
    """(n, 4) first row and column, and those after the last, of the chips to count.

    None where everything counts: without chips, and on a map away from their scenes, of which
    training saw nothing.
    """
    if options.chips is None:
        return None
    chips = open_chips(Path(options.chips))
    for index, scene in enumerate(chips.spec.scenes):
        if grid.misfit(scene.geobox, geobox) is None:
            held = [(w.row, w.col, *w.stop) for w in chips.windows(index, options.split)]
            return np.array(held, dtype=np.int64).reshape(-1, 4)
    if not any(ground.meet(scene.geobox, geobox) for scene in chips.spec.scenes):
        return None
    raise GridError(
        "the map overlaps the chips' scenes, but is on the grid of none of them",
        where=options.chips,
        got=grid.misfit(chips.spec.scenes[0].geobox, geobox),
        fix="hold out an area with --area instead",
    )
