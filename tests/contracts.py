"""What every raster source promises, as tests to inherit."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

from geoseg import grid
from geoseg.grid import Window
from geoseg.raster import Block, RasterSource


class SourceContract:
    """Inherit and give a fixture ``source`` of at least 2 bands and 40 x 40 px, not square."""

    @pytest.fixture
    def whole(self, source: RasterSource) -> Block:
        return source.read(grid.whole(tuple(source.geobox.shape)))

    def test_it_is_a_raster_source(self, source: RasterSource) -> None:
        assert isinstance(source, RasterSource)
        assert source.name
        assert source.geobox.crs is not None

    def test_a_block_has_the_shape_of_its_window_and_the_dtype_of_its_source(
        self, source: RasterSource
    ) -> None:
        block = source.read(Window(3, 5, 20, 30))
        assert block.pixels.shape == (len(source.bands), 20, 30)
        assert block.pixels.dtype == source.dtype
        assert block.valid.shape == (20, 30)
        assert block.valid.dtype == bool

    def test_a_block_lies_where_its_window_does(self, source: RasterSource) -> None:
        block = source.read(Window(3, 5, 20, 30))
        assert grid.misfit(grid.crop(source.geobox, Window(3, 5, 20, 30)), block.geobox) is None
        assert block.geobox.affine @ (0, 0) == pytest.approx(source.geobox.affine @ (5, 3))

    def test_a_window_partly_outside_is_not_valid_there_and_the_same_inside(
        self, source: RasterSource, whole: Block
    ) -> None:
        height, width = source.geobox.shape
        block = source.read(Window(-4, -6, height + 9, width + 13))
        inside = (slice(4, 4 + height), slice(6, 6 + width))
        np.testing.assert_array_equal(block.valid[inside], whole.valid)
        np.testing.assert_array_equal(
            block.pixels[(..., *inside)][:, whole.valid], whole.pixels[:, whole.valid]
        )
        outside = np.ones_like(block.valid)
        outside[inside] = False
        assert not block.valid[outside].any()

    def test_a_window_far_outside_is_not_valid_anywhere(self, source: RasterSource) -> None:
        block = source.read(Window(-500, 9000, 8, 16))
        assert block.pixels.shape == (len(source.bands), 8, 16)
        assert not block.valid.any()

    @pytest.mark.parametrize("size", [17, 32])
    def test_reading_in_pieces_equals_reading_whole(
        self, source: RasterSource, whole: Block, size: int
    ) -> None:
        pixels, valid = np.zeros_like(whole.pixels), np.zeros_like(whole.valid)
        for window in grid.split(grid.whole(tuple(source.geobox.shape)), size):
            block = source.read(window)
            pixels[(..., *window.slices)] = block.pixels
            valid[window.slices] = block.valid
        np.testing.assert_array_equal(valid, whole.valid)
        np.testing.assert_array_equal(pixels[:, valid], whole.pixels[:, valid])

    def test_a_pickled_source_reads_the_same(self, source: RasterSource, whole: Block) -> None:
        again: RasterSource = pickle.loads(pickle.dumps(source))
        block = again.read(grid.whole(tuple(source.geobox.shape)))
        assert (again.name, again.bands, again.paths) == (source.name, source.bands, source.paths)
        np.testing.assert_array_equal(block.pixels, whole.pixels)
        np.testing.assert_array_equal(block.valid, whole.valid)

    def test_take_picks_bands_in_the_order_asked_for(
        self, source: RasterSource, whole: Block
    ) -> None:
        last = len(source.bands) - 1
        picked = source.take((last, 0))
        assert picked.bands == (source.bands[last], source.bands[0])
        assert grid.misfit(source.geobox, picked.geobox) is None
        block = picked.read(grid.whole(tuple(source.geobox.shape)))
        both = whole.valid & block.valid
        assert both.any()
        np.testing.assert_array_equal(block.pixels[:, both], whole.pixels[[last, 0]][:, both])

    def test_take_counts_from_the_bands_already_taken(self, source: RasterSource) -> None:
        last = len(source.bands) - 1
        assert source.take((last, 0)).take((1,)).bands == (source.bands[0],)
