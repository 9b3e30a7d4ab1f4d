"""Truth and map, window by window, and which of their pixels count."""

from __future__ import annotations

from collections.abc import Iterator
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
from geoseg.maps.sides import Classes, LandMap, open_area
from geoseg.progress import track
from geoseg.steps.evaluate import EvaluateOptions

WINDOW_PX = 2048


@dataclass(frozen=True, eq=False)
class Look:
    """A window of truth and map.

    Attributes:
        window: what is counted here; windows partition the map.
        wide: the same with some pixels around it, inside the raster.
        truth: class ids of the wide window, 255 where unlabelled.
        mapped: class ids of the wide window, 255 where the map has no data.
        counted: (height, width) of the window: whether truth and map are known, and nothing
            says that the pixel is not to be counted.
    """

    window: Window
    wide: Window
    truth: NDArray[np.uint8]
    mapped: NDArray[np.uint8]
    counted: NDArray[np.bool_]

    def core[T: np.generic](self, pixels: NDArray[T]) -> NDArray[T]:
        """What lies in the window, of pixels of the wide window."""
        return pixels[self.window.relative_to(self.wide).slices]


class Looks:
    """All windows of a map in which something counts, row by row.

    Args:
        land_map: the map.
        truth: the truth on its grid.
        options: what to count.
        margin: pixels to see around each window.

    Attributes:
        whole: after going through them, whether every pixel of the map was counted.
    """

    def __init__(
        self, land_map: LandMap, truth: Classes, options: EvaluateOptions, *, margin: int
    ) -> None:
        self.land_map, self.truth, self.margin = land_map, truth, margin
        self.area = None if options.area is None else open_area(options.area, land_map.geobox)
        self.held = _held_out(options, land_map.geobox)
        self.whole = True

    def __iter__(self) -> Iterator[Look]:
        everything = grid.whole(self.land_map.geobox.shape)
        windows = list(grid.split(everything, WINDOW_PX))
        for window in track(windows, label="windows", total=len(windows)):
            look = self._look(window, everything)
            if look is not None and look.counted.any():
                yield look

    def _look(self, window: Window, everything: Window) -> Look | None:
        wide = window.expand(self.margin).intersect(everything)
        assert wide is not None, "a window lies inside its raster"
        inside = self._inside(window)
        truth = self.truth.read(wide) if inside.any() else None
        if truth is None or (truth == IGNORE).all():
            self.whole = self.whole and not (self.land_map.read(window) != IGNORE).any()
            return None
        mapped = self.land_map.read(wide)
        look = Look(window, wide, truth, mapped, inside)
        known = look.core(mapped) != IGNORE
        inside &= known & (look.core(truth) != IGNORE)
        self.whole = self.whole and bool((inside == known).all())
        return look

    def _inside(self, window: Window) -> NDArray[np.bool_]:
        inside = np.full(window.shape, self.held is None)
        if self.held is not None:
            starts, stops = self.held[:, :2], self.held[:, 2:]
            near = (starts < window.stop).all(axis=1) & (stops > (window.row, window.col)).all(
                axis=1
            )
            for row, col, stop_row, stop_col in self.held[near] - (window.row, window.col) * 2:
                inside[max(row, 0) : stop_row, max(col, 0) : stop_col] = True
        if self.area is not None and inside.any():
            inside &= self.area.read(window) != IGNORE
        return inside


def block_px(options: EvaluateOptions, maps: list[LandMap]) -> int:
    """The side of the blocks that are resampled: as chosen, as the chips', or by the maps' size.

    Without a choice, the largest of 512, 256 ... 32 px that makes at least 30 blocks; more than
    512 px where these are more than 4096.
    """
    if options.block is not None:
        return options.block
    if options.chips is not None:
        return open_chips(options.chips).spec.block
    side = 512
    while side > 32 and _blocks(maps, side) < 30:
        side //= 2
    while _blocks(maps, side) > 4096:
        side *= 2
    return side


def _blocks(maps: list[LandMap], side: int) -> int:
    shapes = [each.geobox.shape for each in maps]
    return sum(-(-height // side) * -(-width // side) for height, width in shapes)


def _held_out(options: EvaluateOptions, geobox: GeoBox) -> NDArray[np.int64] | None:
    """The chips that are to be counted: (n, 4) first and last corners; None for everything."""
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
        "the map is on the grid of none of the chips' scenes, but meets one of them",
        where=options.chips,
        got=grid.misfit(chips.spec.scenes[0].geobox, geobox),
        fix="hold out an area with --area instead",
    )
