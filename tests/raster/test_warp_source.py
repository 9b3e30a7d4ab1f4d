"""Rasters warped to another grid, as rasterio warps them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from contracts import SourceContract
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from raster_sources import GREY
from rasterio.enums import Resampling
from rasterio.warp import reproject
from small_scene import NORTH_UP, MakeRaster, SmallScene

from geoseg.grid import Window
from geoseg.raster import FileSource, WarpSource, on_grid

type Make = Callable[..., FileSource]


@pytest.fixture
def make(tmp_path: Path, make_raster: MakeRaster) -> Make:
    """A function (array, name, **profile) that writes a raster and returns its source."""
    return lambda array, name="a.tif", **profile: FileSource(
        make_raster(tmp_path / name, array, **profile)
    )


class TestWarpSource(SourceContract):
    @pytest.fixture(params=["nearest", "bilinear", "cubic", "average"])
    def source(self, scene: SmallScene, request: pytest.FixtureRequest) -> WarpSource:
        """From UTM zone 33 to zone 32, where the grid is turned by about 4 degrees."""
        to_32 = Transformer.from_crs(32633, 32632, always_xy=True)
        left, top = to_32.transform(500_004, 4_999_992)
        geobox = GeoBox((60, 84), Affine(0.5, 0, left, 0, -0.5, top), "EPSG:32632")
        return WarpSource(FileSource(scene.path), geobox, request.param)


class TestShrinkingWarpSource(SourceContract):
    @pytest.fixture(params=["bilinear", "cubic", "average"])
    def source(self, scene: SmallScene, request: pytest.FixtureRequest) -> WarpSource:
        geobox = GeoBox((42, 55), NORTH_UP @ Affine.scale(2.3), "EPSG:32633")
        return WarpSource(FileSource(scene.path), geobox, request.param)


class TestWarp:
    def test_a_source_on_the_grid_is_handed_on_as_it_is(self, scene: SmallScene) -> None:
        source = FileSource(scene.path)
        assert on_grid(source, source.geobox, "bilinear") is source

    def test_a_source_off_the_grid_is_warped_and_the_log_says_so(
        self, scene: SmallScene, caplog: pytest.LogCaptureFixture
    ) -> None:
        source = FileSource(scene.path)
        shifted = GeoBox((96, 128), Affine.translation(0.25, 0) @ NORTH_UP, "EPSG:32633")
        with caplog.at_level("INFO"):
            warped = on_grid(source, shifted, "cubic")
        assert isinstance(warped, WarpSource)
        assert "scene.tif is warped with cubic: shifted by (0.000, -0.500) px" in caplog.text

    @pytest.mark.parametrize("method", ["nearest", "bilinear", "cubic", "average", "mode"])
    def test_it_is_what_rasterio_makes_of_the_whole_raster(self, make: Make, method: Any) -> None:
        source = make(GREY)
        target = GeoBox((40, 50), NORTH_UP @ Affine.translation(9.3, 7.6) @ Affine.scale(2),
                        "EPSG:32633")  # fmt: skip
        wanted = np.zeros((40, 50), np.float32)
        reproject(
            GREY.astype(np.float32), wanted, src_transform=NORTH_UP, src_crs="EPSG:32633",
            dst_transform=target.affine, dst_crs="EPSG:32633", resampling=Resampling[method],
            tolerance=0.0,
        )  # fmt: skip
        got = WarpSource(source, target, method).read(Window(0, 0, 40, 50))
        assert got.valid.all()
        np.testing.assert_array_equal(got.pixels[0], np.rint(wanted).clip(0, 255))

    def test_cubic_overshoot_stops_at_the_ends_of_the_dtype(self, make: Make) -> None:
        """Between 0 and 255 cubic interpolation runs to about -17 and 272, which would wrap."""
        step = np.zeros((96, 128), np.uint8)
        step[:, 64:] = 255
        target = GeoBox((192, 256), NORTH_UP @ Affine.scale(0.5), "EPSG:32633")
        row = WarpSource(make(step), target, "cubic").read(Window(96, 0, 1, 256)).pixels[0, 0]
        assert (np.diff(row.astype(int)) >= 0).all()
        assert (row[:126].max(), row[130:].min()) == (0, 255)

    @pytest.mark.parametrize("method", ["bilinear", "cubic", "average"])
    def test_nodata_does_not_bleed_into_its_neighbours(self, make: Make, method: Any) -> None:
        """A pixel is valid where the source's pixel under its centre is."""
        pixels = np.full((96, 128), 100, np.int16)
        pixels[40:50, 60:80] = -9999
        target = GeoBox((192, 256), NORTH_UP @ Affine.scale(0.5), "EPSG:32633")
        block = WarpSource(make(pixels, nodata=-9999), target, method).read(Window(0, 0, 192, 256))
        np.testing.assert_array_equal(block.valid, np.kron(pixels, np.ones((2, 2))) == 100)
        assert set(block.pixels[0][block.valid]) == {100}

    def test_a_class_raster_warped_by_nearest_or_mode_has_no_new_classes(
        self, make: Make, scene: SmallScene
    ) -> None:
        target = GeoBox((40, 50), NORTH_UP @ Affine.rotation(20) @ Affine.scale(2), "EPSG:32633")
        for method in ("nearest", "mode"):
            source = make(scene.classes, nodata=255)
            block = WarpSource(source, target, method).read(Window(0, 0, 40, 50))  # type: ignore[arg-type]
            assert set(np.unique(block.pixels[0][block.valid])) == {0, 1}

    def test_a_point_in_another_crs_is_where_proj_says(self, make: Make) -> None:
        """A white pixel at (row 50, column 70) is found again in degrees, within half a pixel."""
        pixels = np.zeros((96, 128), np.uint8)
        pixels[50, 70] = 255
        x, y = NORTH_UP @ (70.5, 50.5)
        lon, lat = Transformer.from_crs(32633, 4326, always_xy=True).transform(x, y)
        affine = Affine(2e-6, 0, lon - 50.5 * 2e-6, 0, -1e-6, lat + 40.5e-6)
        target = GeoBox((81, 101), affine, "EPSG:4326")
        block = WarpSource(make(pixels), target, "nearest").read(Window(0, 0, 81, 101))
        row, col = (np.mean(axis) for axis in np.nonzero(block.pixels[0]))
        assert (row, col) == (pytest.approx(40, abs=0.6), pytest.approx(50, abs=0.6))
