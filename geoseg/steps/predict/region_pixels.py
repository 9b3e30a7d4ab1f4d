"""What a region sees: the pixels of all its windows, read at once."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.errors import ModelError
from geoseg.grid import Tile, Window
from geoseg.raster import Block, RasterSource
from geoseg.raster.block import Mask, Pixels
from geoseg.vector import Polygons, rasterize


@dataclass(frozen=True)
class Windows:
    """How a predictor goes over a scene.

    Attributes:
        side: of what it maps at once, a multiple of its stride.
        halo: pixels of context around that, a multiple of its stride.
        blend: whether windows fade into each other instead of owning their pixels.
    """

    side: int
    halo: int
    blend: bool = False


@dataclass(frozen=True)
class View:
    """What a region sees.

    Attributes:
        name: of the scene.
        area: the pixels to map.
        tiles: the windows it takes, row by row.
        block: the pixels of all of them, read at once so that each stored block is decoded once.
        at: where the block lies in the scene.
        wanted: (height, width) of the area: what is to be mapped.
    """

    name: str
    area: Window
    tiles: list[Tile]
    block: Block
    at: Window
    wanted: Mask

    def content(self) -> str:
        """A hash of everything that makes the region's layers, the predictor apart."""
        digest = hashlib.sha256(np.ascontiguousarray(self.block.pixels))
        for mask in (self.block.valid, self.wanted):
            digest.update(b"all" if mask.all() else np.packbits(mask))
        return digest.hexdigest()[:32]

    def pixels_of(self, tile: Tile) -> tuple[Pixels, Mask]:
        """(bands, height, width) and (height, width) of what a window reads."""
        rows, cols = tile.read.relative_to(self.at).slices
        return self.block.pixels[:, rows, cols], self.block.valid[rows, cols]

    @contextmanager
    def naming(self, tile: Tile) -> Iterator[None]:
        """Say in which window a predictor failed."""
        try:
            yield
        except ModelError as error:
            (row, col), (stop_row, stop_col) = (tile.core.row, tile.core.col), tile.core.stop
            raise ModelError(
                f"{error.what} in rows {row}-{stop_row}, columns {col}-{stop_col}",
                where=self.name,
                fix="look at the scene there; the model may have been trained on another range",
            ) from error


def look(
    source: RasterSource, area: Window, windows: Windows, stride: int, aoi: Polygons | None = None
) -> View:
    """Read what a predictor has to see to map part of a scene.

    Args:
        source: the scene.
        area: the pixels to map; its corner lies on the window grid.
        windows: how the predictor goes over the scene.
        stride: the predictor's.
        aoi: polygons outside of which nothing is mapped.
    """
    tiles = _tiles(source, area, windows, stride)
    row, col = min(t.read.row for t in tiles), min(t.read.col for t in tiles)
    stop_row, stop_col = max(t.read.stop[0] for t in tiles), max(t.read.stop[1] for t in tiles)
    at = Window(row, col, stop_row - row, stop_col - col)
    with _turn(source):
        block = source.read(at)
    wanted = block.valid[area.relative_to(at).slices]
    if aoi is not None:
        wanted = wanted & (rasterize(aoi, grid.crop(source.geobox, area)) != IGNORE)
    return View(source.name, area, tiles, block, at, wanted)


def _turn(source: RasterSource) -> AbstractContextManager[object]:
    """Local files are read by one thread at a time, which decodes on all cores.

    Neighbours share blocks: those that one region has decoded are in the cache of the handle that
    the next one gets. Servers and arrays answer several at once.
    """
    local = source.paths and all(isinstance(path, Path) for path in source.paths)
    return _reading if local else nullcontext()


_reading = threading.Lock()


def _tiles(source: RasterSource, area: Window, windows: Windows, stride: int) -> list[Tile]:
    """The windows of an area; with blending also those beside it that reach into it."""
    shape = tuple(source.geobox.shape)
    reach = grid.round_up(windows.halo, windows.side) if windows.blend else 0
    around = area.expand(reach).intersect(grid.whole(shape))
    found = grid.tiles(shape, windows.side, windows.halo, multiple_of=stride, area=around)
    return [tile for tile in found if tile.read.intersect(area)]
