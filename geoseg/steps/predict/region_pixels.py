"""The pixels of a region and the context around it, read at once."""

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
from geoseg.maps.map_parts import rows_and_columns
from geoseg.raster import Block, RasterSource
from geoseg.raster.block import Mask, Pixels
from geoseg.vector import Polygons, rasterize


@dataclass(frozen=True)
class Windowing:
    """How a predictor goes over a scene.

    Attributes:
        side: pixels along a side of a window, a multiple of the predictor's stride.
        halo: pixels of context around a window.
        blend: whether windows fade into each other instead of owning their pixels.
    """

    side: int
    halo: int
    blend: bool = False


@dataclass(frozen=True)
class RegionPixels:
    """A region of a scene, as its windows are cut from it.

    Attributes:
        name: the scene's name.
        area: the pixels to map.
        tiles: the windows that cover it, row by row.
        block: the pixels of all windows, read at once so that each stored block is decoded once.
        at: where the block lies in the scene.
        wanted: (height, width) of the area: the pixels that are valid and in the area of interest.
    """

    name: str
    area: Window
    tiles: list[Tile]
    block: Block
    at: Window
    wanted: Mask

    def content(self) -> str:
        """Hash of everything but the predictor that the region's layers depend on.

        Masks that hold everywhere, which most do, are not packed and hashed bit by bit.
        """
        digest = hashlib.sha256(np.ascontiguousarray(self.block.pixels))
        for mask in (self.block.valid, self.wanted):
            digest.update(b"all" if mask.all() else np.packbits(mask))
        return digest.hexdigest()[:32]

    def pixels_of(self, tile: Tile) -> tuple[Pixels, Mask]:
        """Pixels (bands, height, width) and validity (height, width) of a window with context."""
        rows, cols = tile.read.relative_to(self.at).slices
        return self.block.pixels[:, rows, cols], self.block.valid[rows, cols]

    @contextmanager
    def naming(self, tile: Tile) -> Iterator[None]:
        """Name the window in which a predictor failed.

        Raises:
            ModelError: what the predictor raised, with the window.
        """
        try:
            yield
        except ModelError as error:
            raise ModelError(
                f"{error.what} in {rows_and_columns(tile.core)}",
                where=self.name,
                fix="check the scene there; the model may not have seen such values in training",
            ) from error


def read_region(
    source: RasterSource,
    area: Window,
    windowing: Windowing,
    stride: int,
    aoi: Polygons | None = None,
) -> RegionPixels:
    """Read what a predictor needs to map part of a scene.

    Args:
        source: the scene.
        area: the pixels to map; its corner lies on the window grid.
        windowing: how the predictor goes over the scene.
        stride: the predictor's stride in pixels.
        aoi: polygons outside of which nothing is mapped.

    Raises:
        RasterError: the scene cannot be read.
    """
    tiles = _tiles(source, area, windowing, stride)
    row, col = min(t.read.row for t in tiles), min(t.read.col for t in tiles)
    stop_row, stop_col = max(t.read.stop[0] for t in tiles), max(t.read.stop[1] for t in tiles)
    at = Window(row, col, stop_row - row, stop_col - col)
    with _reading_turn(source):
        block = source.read(at)
    wanted = block.valid[area.relative_to(at).slices]
    if aoi is not None:
        wanted = wanted & (rasterize(aoi, grid.crop(source.geobox, area)) != IGNORE)
    return RegionPixels(source.name, area, tiles, block, at, wanted)


def _reading_turn(source: RasterSource) -> AbstractContextManager[object]:
    """Local files are read by one thread at a time, which decodes on all cores.

    Neighbouring regions share blocks: those decoded for one are still in the handle's cache for
    the next. Servers and arrays answer several readers at once.
    """
    local = source.paths and all(isinstance(path, Path) for path in source.paths)
    return _reading if local else nullcontext()


_reading = threading.Lock()


def _tiles(source: RasterSource, area: Window, windowing: Windowing, stride: int) -> list[Tile]:
    """The windows of an area; when they blend, also those around it that reach into it."""
    shape = tuple(source.geobox.shape)
    reach = grid.round_up(windowing.halo, windowing.side) if windowing.blend else 0
    around = area.expand(reach).intersect(grid.whole(shape))
    found = grid.tiles(shape, windowing.side, windowing.halo, multiple_of=stride, area=around)
    return [tile for tile in found if tile.read.intersect(area)]
