"""Bands in several files, stacked on the finest grid."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from affine import Affine
from contracts import SourceContract
from raster_sources import GREY, WHOLE, coarse
from small_scene import NORTH_UP, MakeRaster, SmallScene

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.raster import FileSource, StackSource


class TestStackSource(SourceContract):
    @pytest.fixture
    def source(self, scene: SmallScene, tmp_path: Path, make_raster: MakeRaster) -> StackSource:
        return StackSource(
            "stack", (FileSource(scene.path), coarse(make_raster, tmp_path / "B05.tif")[0])
        )


class TestStack:
    def test_a_20_m_band_comes_onto_10_m_as_bilinear_does_by_hand(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        """Pixel centres of the fine grid lie at -0.25, 0.25, 0.75 ... of the coarse one."""
        fine = FileSource(make_raster(tmp_path / "B02.tif", GREY.astype(np.uint16)), names=("B02",))
        half, pixels = coarse(make_raster, tmp_path / "B05.tif")
        stack = StackSource("s2", (fine, half))
        got = stack.read(WHOLE).pixels[1].astype(float)
        rows, cols = (np.arange(96) - 0.5) / 2, (np.arange(128) - 0.5) / 2
        places = np.meshgrid(rows, cols, indexing="ij")
        wanted = scipy.ndimage.map_coordinates(pixels.astype(float), places, order=1)
        inner = (slice(2, -2), slice(2, -2))
        assert np.abs(got - wanted)[inner].max() <= 0.5
        assert stack.geobox == fine.geobox
        assert [band.name for band in stack.bands] == ["B02", "B05"]
        assert stack.paths == (fine.path, half.path)

    def test_the_finest_grid_wins_wherever_it_stands(
        self, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
    ) -> None:
        half, _ = coarse(make_raster, tmp_path / "B05.tif")
        stack = StackSource("s2", (half, FileSource(scene.path)))
        assert grid.misfit(FileSource(scene.path).geobox, stack.geobox) is None
        assert stack.take((0,)).geobox.shape == (96, 128)

    def test_a_pixel_needs_every_band(
        self, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
    ) -> None:
        other = np.ones((96, 128), np.float32)
        other[90:] = np.nan
        path = make_raster(tmp_path / "dem.tif", other)
        stack = StackSource("s", (FileSource(scene.path), FileSource(path, names=("dem",))))
        expected = scene.valid & np.isfinite(other)
        np.testing.assert_array_equal(stack.read(WHOLE).valid, expected)
        assert stack.dtype == np.float32

    def test_uint8_and_uint16_do_not_wrap(self, tmp_path: Path, make_raster: MakeRaster) -> None:
        one = make_raster(tmp_path / "a.tif", np.full((96, 128), 7, np.uint8))
        two = make_raster(tmp_path / "b.tif", np.full((96, 128), 3000, np.uint16))
        stack = StackSource("s", (FileSource(one, names=("a",)), FileSource(two, names=("b",))))
        assert stack.read(WHOLE).pixels.max(axis=(1, 2)).tolist() == [7, 3000]

    def test_what_cannot_be_one_scene_is_refused(
        self, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
    ) -> None:
        far = make_raster(
            tmp_path / "far.tif", GREY, transform=Affine.translation(9e4, 0) @ NORTH_UP
        )
        with pytest.raises(RasterError, match="no rasters to stack"):
            StackSource("s", ())
        with pytest.raises(RasterError, match="two bands have one name"):
            StackSource("s", (FileSource(scene.path), FileSource(scene.path)))
        with pytest.raises(RasterError, match="lies apart from the other bands"):
            StackSource("s", (FileSource(scene.path), FileSource(far, names=("far",))))
