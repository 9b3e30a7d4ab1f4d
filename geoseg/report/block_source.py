"""A block in memory as a raster source."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.grid import Window
from geoseg.raster import Band, Block
from geoseg.raster.block import paste
from geoseg.remote import Place


@dataclass(frozen=True, eq=False)
class BlockSource:
    """A block in memory as a raster source, so that it can be warped like a file.

    Attributes:
        block: pixels, validity and grid.
        bands: the bands of the pixels.
        name: name for messages.
    """

    block: Block
    bands: tuple[Band, ...]
    name: str

    @property
    def geobox(self) -> GeoBox:
        """The grid of the block."""
        return self.block.geobox

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its pixels."""
        return self.block.pixels.dtype

    @property
    def paths(self) -> tuple[Place, ...]:
        """Empty: no file is read."""
        return ()

    def take(self, positions: tuple[int, ...]) -> BlockSource:
        """The same block with only these bands."""
        block = replace(self.block, pixels=self.block.pixels[list(positions)])
        return BlockSource(block, tuple(self.bands[p] for p in positions), self.name)

    def read(self, window: Window) -> Block:
        """Read a window; pixels outside the block are invalid."""
        at = window.intersect(grid.whole(self.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        rows, cols = at.slices
        pixels, valid = self.block.pixels[:, rows, cols], self.block.valid[rows, cols]
        return paste(Block(pixels, valid, grid.crop(self.geobox, at)), window, self, at)
