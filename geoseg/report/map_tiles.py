"""Map tiles of a class raster too large for one picture, in a PMTiles file."""

from __future__ import annotations

import math
from collections.abc import Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import files, grid, progress
from geoseg.classes import IGNORE, ClassScheme
from geoseg.raster import RasterSource, WarpSource
from geoseg.report.mercator_frame import WORLD_M, Frame
from geoseg.report.pictures import class_picture

SIDE = 512
"""Side of a tile in pixels."""
DEEPEST = 24
"""Last zoom level that web maps show."""
THREADS = 4
QUARTERS = ((0, 0), (0, 1), (1, 0), (1, 1))
"""Row and column offsets of the four tiles below a tile."""

type Ids = NDArray[np.uint8]
type TileId = tuple[int, int, int]
"""Zoom, column and row."""
type Pyramid = Generator[tuple[int, int, int, Ids], None, dict[TileId, Ids]]
"""Yields zoom, column, row and class ids of tiles; returns those of the topmost zoom."""


@dataclass(frozen=True)
class Tiling:
    """The web map tiles (zoom, column, row; rows from the north) that a map lies on.

    Attributes:
        frame: the map on web Mercator.
    """

    frame: Frame

    @cached_property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, north, east and south as shares of the world's square; east may exceed 1."""
        (west, north), _, (east, south), _ = self.frame.corners()
        left = (west + 180) / 360 % 1
        return left, _down(north), left + (east - west) / 360, _down(south)

    @cached_property
    def zooms(self) -> tuple[int, int]:
        """First zoom, where one tile could hold the map, and last, as fine as its pixels."""
        left, top, right, bottom = self.bounds
        holds = math.floor(-math.log2(max(right - left, bottom - top)))
        pixel_m = self.frame.resolution_m / self.frame.shrunk
        last = min(max(math.ceil(math.log2(2 * WORLD_M / SIDE / pixel_m)), 0), DEEPEST)
        return min(max(holds, 0), last), last

    def at(self, zoom: int) -> tuple[range, range]:
        """Columns and rows at a zoom; columns continue past the last where a map crosses 180."""
        left, top, right, bottom = (share * 2**zoom for share in self.bounds)
        rows = range(math.floor(top), min(math.ceil(bottom), 2**zoom))
        return range(math.floor(left), math.ceil(right)), rows


def write_tiles(path: Path, source: RasterSource, scheme: ClassScheme, frame: Frame) -> None:
    """Write every pixel of a class raster as PNG tiles of 512 px, with a pyramid above them.

    A pixel of a coarser tile is the commonest class of the four below. Memory holds a few tiles
    per zoom, whatever the size of the map.

    Args:
        path: the PMTiles file to write.
        source: class ids.
        scheme: the classes.
        frame: the map on web Mercator.

    Raises:
        RasterError: the raster cannot be read.
        RetryError: the disk is full.
    """
    from pmtiles.tile import Compression, TileType, zxy_to_tileid
    from pmtiles.writer import Writer

    tiling = Tiling(frame)
    with files.whole(path) as temporary, temporary.open("wb") as out:
        writer = Writer(out)
        for zoom, column, row, ids in _tiles(tiling, source):
            # Columns continue past the antimeridian, where those of tiles start again at 0.
            tile = zxy_to_tileid(zoom, column % 2**zoom, row)
            writer.write_tile(tile, class_picture(ids, scheme).data)
        header = {"tile_type": TileType.PNG, "tile_compression": Compression.NONE}
        writer.finalize(header | _box(frame), {"type": "overlay", "format": "png"})


class TileFile:
    """An open PMTiles file.

    Args:
        path: the file.

    Attributes:
        zooms: first and last zoom.
    """

    def __init__(self, path: Path) -> None:
        from pmtiles.reader import MmapSource, Reader

        with path.open("rb") as stream:
            self._reader: Any = Reader(MmapSource(stream))
        header = self._reader.header()
        self.zooms: tuple[int, int] = header["min_zoom"], header["max_zoom"]

    def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """The PNG of a tile; None where nothing is mapped."""
        if not (0 <= zoom <= DEEPEST and 0 <= column < 2**zoom and 0 <= row < 2**zoom):
            return None
        found: bytes | None = self._reader.get(zoom, column, row)
        return found


def _tiles(tiling: Tiling, source: RasterSource) -> Iterator[tuple[int, int, int, Ids]]:
    first, last = tiling.zooms
    total = sum(len(cols) * len(rows) for cols, rows in map(tiling.at, range(first, last + 1)))
    columns, rows = tiling.at(first)
    tops = [(first, column, row) for row in rows for column in columns]
    with ThreadPoolExecutor(THREADS) as pool:
        pyramid = _PyramidBuilder(tiling, source, pool)
        tiles = (tile for top in tops for tile in pyramid.build([top]))
        yield from progress.track(tiles, label="tiles", total=total)


@dataclass(frozen=True)
class _PyramidBuilder:
    """Builds tiles depth first: coarse ones from those below, the finest from the raster."""

    tiling: Tiling
    source: RasterSource
    pool: ThreadPoolExecutor

    def build(self, tiles: list[TileId]) -> Pyramid:
        """Yield tiles of one zoom, each after all below it, and return their pixels."""
        tiles = [tile for tile in tiles if self._is_mapped(tile)]
        if tiles and tiles[0][0] == self.tiling.zooms[1]:
            found = list(self.pool.map(self._warped, tiles))
        else:
            found = []
            for zoom, column, row in tiles:
                below = [(zoom + 1, 2 * column + x, 2 * row + y) for y, x in QUARTERS]
                found += [_halved((yield from self.build(below)), below)]
        built = {}
        for tile, ids in zip(tiles, found, strict=True):
            if (ids != IGNORE).any():  # empty tiles are left out of the file
                yield *tile, ids
                built[tile] = ids
        return built

    def _is_mapped(self, tile: TileId) -> bool:
        columns, rows = self.tiling.at(tile[0])
        return tile[1] in columns and tile[2] in rows

    def _warped(self, tile: TileId) -> Ids:
        zoom, column, row = tile
        side_m = 2 * WORLD_M / 2**zoom
        corner = Affine.translation(column % 2**zoom * side_m - WORLD_M, WORLD_M - row * side_m)
        affine = corner @ Affine.scale(side_m / SIDE, -side_m / SIDE)
        geobox = GeoBox((SIDE, SIDE), affine, "EPSG:3857")
        block = WarpSource(self.source, geobox, "nearest").read(grid.whole(geobox.shape))
        ids: Ids = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8)
        return ids


def _halved(built: dict[TileId, Ids], four: list[TileId]) -> Ids:
    """Merge four tiles: the commonest class of each 2 x 2 pixels, the smallest id of equals."""
    nothing = np.full((SIDE, SIDE), IGNORE, np.uint8)
    parts = [built.get(tile, nothing) for tile in four]
    ids = np.vstack([np.hstack(parts[:2]), np.hstack(parts[2:])])
    pixels = ids.reshape(SIDE, 2, SIDE, 2).transpose(1, 3, 0, 2).reshape(4, SIDE, SIDE)
    # Sorted, equal ids are neighbours: b is the mode if it repeats, else c if it equals d. The
    # minimum a remains where all four differ.
    a, b, c, d = np.sort(pixels, axis=0)
    found: Ids = np.where((a == b) | (b == c), b, np.where(c == d, c, a))
    return found


def _down(latitude: float) -> float:
    """Distance of a latitude from the north of the world's square, as a share of its side."""
    angle = math.radians(latitude)
    return (1 - math.asinh(math.tan(angle)) / math.pi) / 2


def _box(frame: Frame) -> dict[str, int]:
    (west, north), _, (east, south), _ = frame.corners()
    sides = {"min_lon_e7": west, "min_lat_e7": south, "max_lon_e7": east, "max_lat_e7": north}
    wraps = east > 180 or west < -180
    sides |= {"min_lon_e7": -180.0, "max_lon_e7": 180.0} if wraps else {}
    return {key: round(value * 1e7) for key, value in sides.items()}
