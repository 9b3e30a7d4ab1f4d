"""Blocks of pixels, and the protocol of all that reads them."""

from __future__ import annotations

import numpy as np
import pytest
from odc.geo.geobox import GeoBox
from small_scene import NORTH_UP

from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.raster import Block, RasterSource


class TestBlock:
    def test_its_three_parts_have_one_shape(self) -> None:
        geobox = GeoBox((4, 6), NORTH_UP, "EPSG:32633")
        Block(np.zeros((3, 4, 6)), np.ones((4, 6), bool), geobox)
        for pixels, valid in (((3, 6, 4), (4, 6)), ((3, 4, 6), (6, 4)), ((4, 6), (4, 6))):
            with pytest.raises(RasterError, match="differ in shape"):
                Block(np.zeros(pixels), np.ones(valid, bool), geobox)


def test_every_source_is_one_by_its_members_alone() -> None:
    class Memory:
        name, geobox, bands, dtype, paths = "m", None, (), np.dtype("u1"), ()

        def take(self, positions: tuple[int, ...]) -> Memory:
            return self

        def read(self, window: Window) -> None: ...

    assert isinstance(Memory(), RasterSource)
    assert not isinstance(object(), RasterSource)
