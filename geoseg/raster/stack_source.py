"""Several sources as the bands of one, such as Sentinel-2's files at 10 and 20 m."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg import grid, ground
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.raster.block import Band, Block, RasterSource, repeated
from geoseg.raster.warp_source import Method, on_grid
from geoseg.remote import Place


@dataclass(frozen=True)
class StackSource:
    """The bands of several sources on the finest grid among them.

    Attributes:
        name: its name in messages.
        sources: one source per file.
        method: how coarser ones are resampled onto the finest grid.

    Raises:
        RasterError: no sources, two bands of one name, or sources that do not overlap.
    """

    name: str
    sources: tuple[RasterSource, ...]
    method: Method = "bilinear"

    def __post_init__(self) -> None:
        if not self.sources:
            raise RasterError("no rasters to stack", where=self.name)
        twice = repeated([band.name for band in self.bands])
        if twice:
            raise RasterError("two bands have one name", where=self.name, got=", ".join(twice))
        for source in self.sources:
            if not ground.meet(self.geobox, source.geobox):
                raise RasterError(
                    "lies apart from the other bands of the scene",
                    where=source.name,
                    fix="give the files as scenes of their own",
                )

    @cached_property
    def geobox(self) -> GeoBox:
        """The finest grid among the sources; of equally fine ones, the first."""
        return min((s.geobox for s in self.sources), key=ground.gsd_m)

    @property
    def bands(self) -> tuple[Band, ...]:
        """All bands, in the order of the sources."""
        return tuple(band for source in self.sources for band in source.bands)

    @cached_property
    def dtype(self) -> np.dtype[Any]:
        """The smallest dtype that holds the values of all sources."""
        return np.result_type(*(source.dtype for source in self.sources))

    @property
    def paths(self) -> tuple[Place, ...]:
        """The files of all sources."""
        return tuple(path for source in self.sources for path in source.paths)

    @cached_property
    def _aligned(self) -> tuple[RasterSource, ...]:
        return tuple(on_grid(source, self.geobox, self.method) for source in self.sources)

    def take(self, positions: tuple[int, ...]) -> RasterSource:
        """The same stack with only these bands, still on the finest grid of all of them."""
        owners = [(s, i) for s in self._aligned for i in range(len(s.bands))]
        picked = tuple(owners[p][0].take((owners[p][1],)) for p in positions)
        return StackSource(self.name, picked, self.method)

    def read(self, window: Window) -> Block:
        """Read a window of all bands; a pixel is valid where it is valid in every band."""
        blocks = [source.read(window) for source in self._aligned]
        pixels = np.concatenate([block.pixels.astype(self.dtype) for block in blocks])
        valid = np.logical_and.reduce([block.valid for block in blocks])
        return Block(pixels, valid, grid.crop(self.geobox, window))
