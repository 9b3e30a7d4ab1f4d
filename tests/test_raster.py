"""Sources: files, stacks, warps and arrays, all with the same promises."""

from __future__ import annotations

import logging
import pickle
import struct
import subprocess
import sys
import threading
import warnings
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cloudpickle
import dask.array
import numpy as np
import odc.geo.xr
import odc.stac
import pystac
import pytest
import rasterio
import rasterio.control
import rasterio.shutil
import rasterio.warp
import rioxarray
import scipy.ndimage
import xarray as xr
from affine import Affine
from conftest import NORTH_UP, MakeRaster, SmallScene
from contracts import SourceContract
from dask.distributed import Client, LocalCluster
from distributed.comm import inproc
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import ColorInterp, Resampling
from rasterio.warp import reproject

from geoseg import grid
from geoseg.errors import ConfigError, InputError, RasterError, UnsafeError
from geoseg.grid import Window
from geoseg.options import ReadOptions
from geoseg.raster import (
    Band,
    Block,
    FileSource,
    RasterSource,
    StackSource,
    WarpSource,
    XarraySource,
    handles,
    on_grid,
    open_scene,
    open_scenes,
)
from geoseg.raster.multi_file_scenes import band_names

WHOLE = Window(0, 0, 96, 128)
RNG = np.random.default_rng(3)
GREY = RNG.integers(1, 255, (96, 128), dtype=np.uint8)
PLACES = {
    "Dutch": ("EPSG:28992", Affine(0.5, 0, 155_000, 0, -0.5, 463_000)),
    "Australian Albers": ("EPSG:3577", Affine(30, 0, -1_000_000, 0, -30, -3_000_000)),
    "degrees, not square": ("EPSG:4326", Affine(2e-5, 0, 15, 0, -1e-5, 45)),
    "rotated": ("EPSG:32633", Affine(0.4, 0.3, 500_000, 0.3, -0.4, 5_000_000)),
    "south up": ("EPSG:32633", Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000)),
}
type Make = Callable[..., FileSource]


@pytest.fixture
def make(tmp_path: Path, make_raster: MakeRaster) -> Make:
    """A function (array, name, **profile) that writes a raster and returns its source."""
    return lambda array, name="a.tif", **profile: FileSource(
        make_raster(tmp_path / name, array, **profile)
    )


def coarse(make_raster: MakeRaster, path: Path) -> tuple[FileSource, NDArray[np.uint16]]:
    """A band with pixels twice as large as the small scene's, on the same corner."""
    pixels = RNG.integers(800, 1200, (48, 64), dtype=np.uint16)
    make_raster(path, pixels, transform=NORTH_UP @ Affine.scale(2))
    return FileSource(path, names=("B05",)), pixels


def test_the_small_scene_has_the_areas_it_promises(scene: SmallScene) -> None:
    assert np.bincount(scene.classes.ravel(), minlength=256)[[0, 1, 255]].tolist() == [
        9504, 2400, 384
    ]  # fmt: skip


class TestFileSource(SourceContract):
    @pytest.fixture
    def source(self, scene: SmallScene) -> FileSource:
        return FileSource(scene.path)


class TestVrtSource(SourceContract):
    @pytest.fixture
    def source(self, scene: SmallScene, tmp_path: Path) -> FileSource:
        rasterio.shutil.copy(scene.path, tmp_path / "a.vrt", driver="VRT")
        return FileSource(tmp_path / "a.vrt")


class TestStackSource(SourceContract):
    @pytest.fixture
    def source(self, scene: SmallScene, tmp_path: Path, make_raster: MakeRaster) -> StackSource:
        return StackSource(
            "stack", (FileSource(scene.path), coarse(make_raster, tmp_path / "B05.tif")[0])
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


class TestXarraySource(SourceContract):
    @pytest.fixture(params=["numpy", "dask", "dataset"])
    def source(self, scene: SmallScene, request: pytest.FixtureRequest) -> XarraySource:
        array = array_of(scene, chunks=request.param != "numpy")
        return XarraySource(cube_of(array) if request.param == "dataset" else array, "composite")


def array_of(scene: SmallScene, *, chunks: bool = False) -> xr.DataArray:
    geobox = GeoBox((96, 128), NORTH_UP, "EPSG:32633")
    data: Any = dask.array.from_array(scene.pixels, (1, 40, 50)) if chunks else scene.pixels
    array = xr.DataArray(data, dims=("band", "y", "x"), coords={"band": ["red", "nir", "swir"]})
    array.attrs["nodata"] = 0
    return array.odc.assign_crs("EPSG:32633").assign_coords(
        x=(np.arange(128) + 0.5) * 0.5 + geobox.affine.c,
        y=geobox.affine.f - (np.arange(96) + 0.5) * 0.5,
    )


def cube_of(array: xr.DataArray) -> xr.Dataset:
    """The bands as variables, each with its attributes, as odc.stac.load hands them over."""
    cube = array.to_dataset(dim="band")
    for band in cube.data_vars.values():
        band.attrs.update(array.attrs)
    return cube


class TestBlock:
    def test_its_three_parts_have_one_shape(self) -> None:
        geobox = GeoBox((4, 6), NORTH_UP, "EPSG:32633")
        Block(np.zeros((3, 4, 6)), np.ones((4, 6), bool), geobox)
        for pixels, valid in (((3, 6, 4), (4, 6)), ((3, 4, 6), (6, 4)), ((4, 6), (4, 6))):
            with pytest.raises(RasterError, match="differ in shape"):
                Block(np.zeros(pixels), np.ones(valid, bool), geobox)


class TestPlaces:
    @pytest.mark.parametrize(("crs", "affine"), PLACES.values(), ids=PLACES)
    def test_any_crs_and_direction_is_read_as_rasterio_reads_it(
        self, make: Make, crs: str, affine: Affine
    ) -> None:
        source = make(GREY, crs=crs, transform=affine)
        block = source.read(Window(10, 20, 30, 40))
        np.testing.assert_array_equal(block.pixels[0], GREY[10:40, 20:60])
        assert block.geobox.crs.epsg == int(crs.removeprefix("EPSG:"))
        with rasterio.open(source.path) as dataset:
            assert block.geobox.affine @ (0.5, 0.5) == pytest.approx(dataset.xy(10, 20))

    @pytest.mark.parametrize(("crs", "affine"), PLACES.values(), ids=PLACES)
    def test_any_crs_and_direction_warps_to_a_grid_beside_it(
        self, make: Make, crs: str, affine: Affine
    ) -> None:
        """Nearest to a grid moved by two rows and three columns is the same pixels, moved."""
        source = make(GREY, crs=crs, transform=affine)
        moved = GeoBox((50, 60), affine @ Affine.translation(3, 2), crs)
        block = WarpSource(source, moved, "nearest").read(Window(0, 0, 50, 60))
        np.testing.assert_array_equal(block.pixels[0], GREY[2:52, 3:63])
        assert block.valid.all()


class TestValidity:
    def test_in_unsigned_types_all_bands_must_hold_nodata(self, make: Make) -> None:
        pixels = np.full((3, 96, 128), 7, np.uint8)
        pixels[:, 0, 0] = 0
        pixels[0, 1, 1] = pixels[1, 2, 2] = 0
        assert np.argwhere(~make(pixels, nodata=0).read(WHOLE).valid).tolist() == [[0, 0]]

    def test_in_signed_types_any_band_may_hold_nodata(self, make: Make) -> None:
        pixels = np.full((3, 96, 128), 7, np.int16)
        pixels[:, 0, 0] = pixels[0, 1, 1] = pixels[2, 2, 3] = -9999
        invalid = np.argwhere(~make(pixels, nodata=-9999).read(WHOLE).valid)
        assert invalid.tolist() == [[0, 0], [1, 1], [2, 3]]

    @pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
    @pytest.mark.parametrize("nodata", [None, np.nan, -9999.0])
    def test_nan_and_infinity_in_any_band_are_not_valid(
        self, make: Make, bad: float, nodata: float | None
    ) -> None:
        pixels = np.ones((2, 96, 128), np.float32)
        pixels[1, 5, 6] = bad
        source = make(pixels, nodata=nodata)
        assert np.argwhere(~source.read(WHOLE).valid).tolist() == [[5, 6]]

    def test_the_largest_float32_can_be_nodata(self, make: Make) -> None:
        lowest = float(np.finfo(np.float32).min)
        pixels = np.ones((1, 96, 128), np.float32)
        pixels[0, 5, 6] = lowest
        assert np.argwhere(~make(pixels, nodata=lowest).read(WHOLE).valid).tolist() == [[5, 6]]

    @pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
    def test_alpha_counts_from_128_up(self, make: Make, dtype: Any) -> None:
        pixels = np.full((4, 96, 128), 9, dtype)
        pixels[3] = np.iinfo(dtype).max
        pixels[3, 0, :3] = 0, 127, 128
        source = make(pixels, photometric="RGB", alpha="YES")
        block = source.read(WHOLE)
        assert np.argwhere(~block.valid).tolist() == [[0, 0], [0, 1]]
        assert [band.name for band in source.bands] == ["red", "green", "blue"]
        assert block.pixels.shape == (3, 96, 128)

    @pytest.mark.parametrize("inside", [True, False])
    def test_a_mask_of_the_whole_dataset_counts(
        self, tmp_path: Path, make_raster: MakeRaster, inside: bool
    ) -> None:
        path = make_raster(tmp_path / "a.tif", np.stack([GREY] * 3))
        mask = np.full((96, 128), 255, np.uint8)
        mask[40:50, 60:80] = 0
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=inside), rasterio.open(path, "r+") as dataset:
            dataset.write_mask(mask)
        source = FileSource(path)
        np.testing.assert_array_equal(source.read(WHOLE).valid, mask > 0)
        np.testing.assert_array_equal(
            source.read(Window(45, 55, 10, 30)).valid, mask[45:55, 55:85] > 0
        )
        assert len(source.paths) == (1 if inside else 2)

    def test_nodata_can_be_named_for_a_file_that_does_not(self, scene: SmallScene) -> None:
        pixels = scene.pixels
        source = FileSource(scene.path, nodata=int(pixels[0, 50, 50]))
        assert source.bands[0].nodata == pixels[0, 50, 50]
        assert source.read(WHOLE).valid[0, 0]

    def test_a_nodata_no_pixel_can_hold_does_no_harm(self, make: Make) -> None:
        source = FileSource(make(GREY).path, nodata=-9999)
        assert source.read(WHOLE).valid.all()


class TestFacts:
    def test_bands_are_named_by_description_then_colour_then_number(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        path = make_raster(tmp_path / "a.tif", np.ones((4, 9, 17), np.uint8))
        with rasterio.open(path, "r+") as dataset:
            dataset.set_band_description(1, "B02")
            dataset.colorinterp = [
                ColorInterp.red, ColorInterp.green, ColorInterp.gray, ColorInterp.undefined
            ]  # fmt: skip
        assert [band.name for band in FileSource(path).bands] == ["B02", "green", "b3", "b4"]

    def test_a_sidecar_that_moves_the_raster_is_among_its_paths(self, make: Make) -> None:
        source = make(GREY)
        sidecar = source.path.with_name("a.tif.aux.xml")
        sidecar.write_text(
            "<PAMDataset><GeoTransform>7, 1, 0, 9, 0, -1</GeoTransform></PAMDataset>"
        )
        assert source.geobox.affine @ (0, 0) == (7, 9)
        assert source.paths == (source.path, sidecar)

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_no_geotransform_is_an_error_that_says_what_there_is(
        self, make: Make, tmp_path: Path
    ) -> None:
        with pytest.raises(
            RasterError, match=r"a\.tif: has no geotransform. Next: georeference it"
        ):
            _ = make(GREY, transform=None).geobox
        points = [
            rasterio.control.GroundControlPoint(r, c, 500_000 + c, 5_000_000 - r)
            for r, c in ((0, 0), (0, 128), (96, 0))
        ]
        with pytest.raises(RasterError, match="got ground control points instead"):
            _ = make(GREY, "b.tif", transform=None, gcps=points).geobox

    def test_complex_pixels_and_too_many_bands_are_refused(self, make: Make) -> None:
        with pytest.raises(RasterError, match=r"a\.tif: has complex pixels"):
            _ = make(np.ones((1, 8, 16), np.complex64)).geobox
        with pytest.raises(RasterError, match="too many bands; got 513; wanted 512"):
            _ = make(np.ones((513, 1, 2), np.uint8), "b.tif").geobox

    @pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
    def test_blocks_that_would_fill_the_memory_are_refused(self, tmp_path: Path) -> None:
        """A TIFF of 434 bytes whose one tile takes 3.6 GB to decode."""
        tags = (
            (256, 4, 60_000), (257, 4, 60_000), (258, 3, 8), (259, 3, 8), (262, 3, 1), (277, 3, 1),
            (322, 4, 60_000), (323, 4, 60_000), (324, 4, 130), (325, 4, 100),
        )  # fmt: skip
        entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
        head = struct.pack("<4sIH", b"II*\0", 8, len(tags))
        path = tmp_path / "giant.tif"
        path.write_bytes(head + entries + bytes(304))
        with pytest.raises(RasterError, match="60000 x 60000 px; wanted at most 256 MiB"):
            _ = FileSource(path).geobox

    def test_bands_of_two_dtypes_are_refused(self, make: Make, tmp_path: Path) -> None:
        one, two = make(GREY), make(GREY.astype(np.uint16), "b.tif")
        bands = "".join(
            f'<VRTRasterBand dataType="{dtype}" band="{i}"><SimpleSource><SourceFilename>'
            f"{source.path}</SourceFilename></SimpleSource></VRTRasterBand>"
            for i, dtype, source in ((1, "Byte", one), (2, "UInt16", two))
        )
        path = tmp_path / "both.vrt"
        path.write_text(
            '<VRTDataset rasterXSize="128" rasterYSize="96"><SRS>EPSG:32633</SRS><GeoTransform>'
            f"0,1,0,0,0,-1</GeoTransform>{bands}</VRTDataset>"
        )
        with pytest.raises(RasterError, match="differ in dtype; got uint8, uint16"):
            _ = FileSource(path).geobox

    def test_a_small_file_is_read_at_its_size(self, make: Make) -> None:
        source = make(GREY[:9, :17])
        assert source.read(Window(0, 0, 9, 17)).valid.all()
        assert source.read(Window(0, 0, 32, 32)).valid.sum() == 9 * 17


class TestHandles:
    def test_a_file_that_was_replaced_is_read_anew(self, make: Make) -> None:
        for value in (1, 2, 3):
            source = make(np.full((96, 128), value, np.uint8))
            assert source.read(WHOLE).pixels.max() == value

    def test_threads_share_a_source_and_no_handle(self, scene: SmallScene) -> None:
        """One rasterio handle read by 8 threads returns wrong pixels in 3 % of reads."""
        source, barrier = FileSource(scene.path), threading.Barrier(4)

        def check(_: int) -> bool:
            barrier.wait()
            return all(
                np.array_equal(source.read(w).pixels, scene.pixels[(slice(None), *w.slices)])
                for w in grid.split(WHOLE, 24)
            )

        with ThreadPoolExecutor(4) as pool:
            assert all(pool.map(check, range(4)))

    def test_a_thread_gets_the_handle_that_another_has_done_with(
        self, scene: SmallScene, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What one region has decoded is in the cache of the handle that reads the next."""
        opened = 0

        def count(*arguments: Any, **options: Any) -> Any:
            nonlocal opened
            opened += 1
            return rasterio.open(*arguments, **options)

        monkeypatch.setattr(handles, "_idle", handles._IdleHandles())
        monkeypatch.setattr(handles, "rasterio", SimpleNamespace(open=count))
        source = FileSource(scene.path)
        for window in grid.split(WHOLE, 24):
            with ThreadPoolExecutor(1) as pool:
                pool.submit(source.read, window).result()
        assert opened == 1
        handles._idle.close()

    def test_a_pickle_holds_no_handle_and_is_small(self, scene: SmallScene) -> None:
        source = FileSource(scene.path)
        source.read(WHOLE)
        assert len(pickle.dumps(source)) < 10_000

    def test_equal_sources_are_equal_before_and_after_reading(self, scene: SmallScene) -> None:
        source = FileSource(scene.path)
        source.read(WHOLE)
        assert source == FileSource(scene.path)


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


class TestXarray:
    def test_bands_are_named_by_the_coordinate_and_nodata_by_the_attributes(
        self, scene: SmallScene
    ) -> None:
        source = XarraySource(array_of(scene))
        assert source.bands == (Band("red", 0.0), Band("nir", 0.0), Band("swir", 0.0))
        np.testing.assert_array_equal(source.read(WHOLE).valid, scene.valid)
        np.testing.assert_array_equal(source.read(WHOLE).pixels, scene.pixels)
        assert grid.misfit(FileSource(scene.path).geobox, source.geobox) is None

    def test_a_plain_y_x_array_is_one_band(self, scene: SmallScene) -> None:
        flat = array_of(scene).isel(band=0, drop=True).rename("ndvi")
        source = XarraySource(flat)
        assert [band.name for band in source.bands] == ["ndvi"]
        assert source.take((0,)).read(Window(0, 0, 9, 17)).pixels.shape == (1, 9, 17)

    def test_only_the_window_is_computed(self, scene: SmallScene) -> None:
        seen: list[tuple[int, ...]] = []

        def note(part: NDArray[Any]) -> NDArray[Any]:
            seen.append(part.shape)
            return part

        array = array_of(scene, chunks=True)
        array.data = array.data.map_blocks(note, dtype=array.dtype, meta=np.empty((0, 0, 0)))
        XarraySource(array).read(Window(0, 0, 40, 50))
        assert sum(np.prod(shape) for shape in seen) == 3 * 40 * 50

    def test_without_a_crs_or_with_bands_last_it_is_refused(self, scene: SmallScene) -> None:
        with pytest.raises(RasterError, match=r"array: has no CRS. Next: array\.odc\.assign_crs"):
            XarraySource(xr.DataArray(np.zeros((4, 6)), dims=("y", "x")))
        with pytest.raises(RasterError, match="has other dimensions"):
            XarraySource(array_of(scene).transpose("y", "x", "band"))

    def test_dates_are_no_bands_and_the_error_says_how_to_reduce_them(
        self, scene: SmallScene
    ) -> None:
        dates = np.array(["2024-07-01", "2024-07-11", "2024-07-21"], "M8[ns]")
        dated = array_of(scene).rename(band="time").assign_coords(time=dates)
        message = r'got time, y, x; wanted {}. Next: reduce it first: array\.median\("time"\)'
        with pytest.raises(RasterError, match=message.format("band, y, x")):
            XarraySource(dated)
        with pytest.raises(RasterError, match=message.format("y, x")):
            XarraySource(dated.to_dataset(name="red"))

    def test_degrees_under_the_names_x_and_y_are_as_good(self, make: Make) -> None:
        affine = Affine(2e-5, 0, 15, 0, -1e-5, 45)
        path = make(GREY, crs="EPSG:4326", transform=affine).path
        array = rioxarray.open_rasterio(path)
        assert isinstance(array, xr.DataArray)
        np.testing.assert_array_equal(XarraySource(array).read(WHOLE).pixels[0], GREY)
        assert (
            grid.misfit(GeoBox((96, 128), affine, "EPSG:4326"), XarraySource(array).geobox) is None
        )


class TestXarrayCut:
    @pytest.mark.parametrize("make_cube", [lambda array: array, cube_of])
    def test_it_reads_as_the_whole_does(self, scene: SmallScene, make_cube: Any) -> None:
        source = XarraySource(make_cube(array_of(scene, chunks=True)))
        for outer in (Window(-8, 90, 60, 70), Window(95, 127, 9, 9), Window(0, 0, 200, 200)):
            piece = pickle.loads(pickle.dumps(source.cut(outer)))
            both = piece.cut(outer).take((2, 0)), source.take((2, 0))
            assert (piece.geobox, piece.bands, piece.dtype) == (
                source.geobox, source.bands, source.dtype
            )  # fmt: skip
            for window in (outer, Window(outer.row + 2, outer.col + 3, 4, 5)):
                got, wanted = (each.read(window) for each in both)
                np.testing.assert_array_equal(got.pixels, wanted.pixels)
                np.testing.assert_array_equal(got.valid, wanted.valid)
                assert got.geobox == wanted.geobox

    def test_its_pickle_holds_no_more_than_it_needs(self) -> None:
        def chunk(block_info: Any = None) -> NDArray[np.uint16]:
            return np.ones([stop - start for start, stop in block_info[None]["array-location"]])

        geobox = GeoBox((10_000, 15_000), Affine(10, 0, 4e5, 0, -10, 5e6), "EPSG:32633")
        chunks = ((1,) * 4, (500,) * 20, (500,) * 30)
        data = dask.array.map_blocks(chunk, chunks=chunks, dtype="f8", meta=np.empty((0, 0, 0)))
        coords = odc.geo.xr.xr_coords(geobox)
        lazy = xr.DataArray(data, coords, ("time", "y", "x")).median("time")
        source, window = XarraySource(lazy), Window(4_500, 4_500, 700, 600)
        whole, piece = (cloudpickle.dumps(each) for each in (source, source.cut(window)))
        assert len(piece) < 60_000 < len(whole)
        assert pickle.loads(piece).read(window).pixels.sum() == 700 * 600

    def test_reading_beside_the_cut_is_refused(self, scene: SmallScene) -> None:
        piece = XarraySource(array_of(scene)).cut(Window(0, 0, 50, 50))
        with pytest.raises(AssertionError, match="where it was cut"):
            piece.read(Window(40, 40, 20, 20))


class TestXarrayDataset:
    def test_variables_are_bands_each_with_its_own_nodata(self, scene: SmallScene) -> None:
        cube = cube_of(array_of(scene).astype("int16"))
        cube["nir"] = cube.nir.where(cube.nir != 0, -9999).astype("int16")
        cube.nir.attrs["nodata"] = -9999
        source = open_scene(cube)
        assert source.bands == (Band("red", 0.0), Band("nir", -9999.0), Band("swir", 0.0))
        block = source.read(WHOLE)
        np.testing.assert_array_equal(block.valid, scene.valid)
        np.testing.assert_array_equal(block.pixels[:, scene.valid], scene.pixels[:, scene.valid])
        assert open_scene(cube, ReadOptions(bands=("swir", "red"))).bands == (
            Band("swir", 0.0), Band("red", 0.0)
        )  # fmt: skip

    def test_nan_in_one_variable_makes_a_pixel_invalid(self, scene: SmallScene) -> None:
        cube = cube_of(array_of(scene).astype("float32"))
        cube["nir"][50, 60] = np.nan
        valid = scene.valid.copy()
        valid[50, 60] = False
        np.testing.assert_array_equal(XarraySource(cube).read(WHOLE).valid, valid)

    def test_what_is_no_scene_is_refused(self, scene: SmallScene) -> None:
        cube = cube_of(array_of(scene))
        with pytest.raises(RasterError, match="differ in dtype; got float32, uint16. Next: conv"):
            XarraySource(cube.assign(nir=cube.nir.astype("float32")))
        with pytest.raises(RasterError, match="got band, y, x; wanted y, x"):
            XarraySource(array_of(scene).to_dataset(name="all"))
        with pytest.raises(RasterError, match="has no variables"):
            XarraySource(cube[[]])
        with pytest.raises(RasterError, match="has no CRS"):
            XarraySource(xr.Dataset({"red": (("y", "x"), np.zeros((4, 6)))}))


class TestComposite:
    """The median over dates, lazily, window by window, without a file in between."""

    @pytest.fixture
    def stack(self, make: Make) -> tuple[list[Path], NDArray[np.uint16]]:
        """Five dates of red and nir with clouds (0), as files, and their pixels."""
        pixels = RNG.integers(1, 5000, (5, 2, 96, 128), dtype=np.uint16)
        pixels[RNG.random(pixels.shape) < 0.3] = 0
        pixels[..., 20:30, 40:60] = 0
        paths = [
            make(date, f"{day}.tif", nodata=0, tiled=True, blockxsize=64, blockysize=32).path
            for day, date in enumerate(pixels)
        ]
        return paths, pixels

    def median(self, pixels: NDArray[np.uint16]) -> NDArray[np.float64]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # where every date is cloudy
            return np.nanmedian(np.where(pixels == 0, np.nan, pixels), axis=0)

    def from_files(self, paths: list[Path]) -> xr.DataArray:
        dates = [rioxarray.open_rasterio(path, chunks={"y": 40, "x": 50}) for path in paths]
        cube = xr.concat(dates, "time", join="exact").chunk(time=-1)
        return cube.where(cube != 0).median("time").assign_coords(band=["red", "nir"])

    def from_stac(self, paths: list[Path]) -> xr.Dataset:
        items = [stac_item(path, day) for day, path in enumerate(paths)]
        cube = odc.stac.load(items, bands=["red", "nir"], chunks={"y": 40, "x": 50})
        return cube.where(cube != 0).median("time", keep_attrs=False)

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")  # odc-stac calls old functions
    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    @pytest.mark.parametrize("how", ["files", "stac"])
    def test_a_window_is_the_median_computed_at_once(
        self, stack: tuple[list[Path], NDArray[np.uint16]], how: str
    ) -> None:
        paths, pixels = stack
        source = XarraySource(self.from_files(paths) if how == "files" else self.from_stac(paths))
        wanted = self.median(pixels)
        assert [band.name for band in source.bands] == ["red", "nir"]
        assert grid.misfit(GeoBox((96, 128), NORTH_UP, "EPSG:32633"), source.geobox) is None
        for window in (Window(13, 17, 40, 60), Window(-5, 90, 30, 60), WHOLE):
            at = window.intersect(WHOLE)
            assert at is not None
            block = source.read(window)
            inside = (slice(None), *at.relative_to(window).slices)
            there = wanted[:, *at.slices]
            np.testing.assert_array_equal(block.valid[inside[1:]], np.isfinite(there).all(axis=0))
            np.testing.assert_array_equal(block.pixels[inside], there.astype(source.dtype))

    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    @pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
    def test_on_a_cluster_it_is_computed_within_the_task_that_reads_it(
        self,
        stack: tuple[list[Path], NDArray[np.uint16]],
        processes: bool,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        """One task per window on the scheduler, none for the chunks under it."""
        monkeypatch.setattr(inproc.global_manager, "_ip", "127.0.0.1")
        paths, pixels = stack
        source, wanted = XarraySource(self.from_stac(paths)), self.median(pixels)
        windows = list(grid.split(WHOLE, 48))
        with (
            dask.config.set({"distributed.scheduler.http.routes": []}),
            LocalCluster(
                n_workers=2 if processes else 1, threads_per_worker=1 if processes else 3,
                processes=processes, host="127.0.0.1" if processes else None,
                dashboard_address="127.0.0.1:0", worker_dashboard_address="127.0.0.1:0",
                silence_logs=logging.CRITICAL,
            ) as cluster,
            Client(cluster) as client,
        ):  # fmt: skip
            futures = client.map(source.read, windows, pure=False)
            for window, block in zip(windows, client.gather(futures), strict=True):
                expected = np.nan_to_num(wanted[:, *window.slices])
                np.testing.assert_array_equal(np.nan_to_num(block.pixels), expected)
            seen = client.run_on_scheduler(
                lambda dask_scheduler: {each[0] for each in dask_scheduler.transition_log}
            )
        assert seen == {future.key for future in futures}
        assert len(seen) == 6


class TestToken:
    def test_it_is_the_same_in_another_process(self, scene: SmallScene) -> None:
        code = (
            "import dask.array, rioxarray, geoseg\n"
            f"array = rioxarray.open_rasterio({str(scene.path)!r}, chunks=dict(y=40, x=50))\n"
            "print(geoseg.open_scene(array.astype('float32') / 2).token)"
        )
        run = [sys.executable, "-c", code]
        far = subprocess.run(run, capture_output=True, text=True, check=True, timeout=120).stdout
        array = rioxarray.open_rasterio(str(scene.path), chunks={"y": 40, "x": 50})
        here = open_scene(array.astype("float32") / 2).token  # type: ignore[union-attr]
        assert far.strip() == here
        assert len(here) == 64

    def test_it_tells_pixels_grids_and_bands_apart(self, scene: SmallScene) -> None:
        array = array_of(scene)
        other = array.copy(deep=True)
        other[1, 95, 127] += 1
        moved = array.assign_coords(x=array.x + 0.5)
        renamed = array.assign_coords(band=["a", "b", "c"])
        tokens = [XarraySource(each).token for each in (array, other, moved, renamed)]
        assert len(set(tokens)) == 4
        assert None not in tokens
        assert XarraySource(array.copy(deep=True)).token == tokens[0]

    def test_it_tells_lazy_computations_apart_without_computing_them(
        self, scene: SmallScene
    ) -> None:
        def fail(part: NDArray[Any], by: int) -> NDArray[Any]:
            raise AssertionError("computed")

        array = array_of(scene, chunks=True)
        lazy = [
            array.copy(data=array.data.map_blocks(fail, by=by, dtype="f4", meta=np.empty((0,) * 3)))
            for by in (1, 2, 1)
        ]
        one, two, again = (XarraySource(each).token for each in lazy)
        assert one == again != two

    def test_what_dask_cannot_name_has_none(self, scene: SmallScene) -> None:
        class Nameless:
            def __reduce__(self) -> Any:
                raise TypeError("no name")

        array = array_of(scene)
        objects = np.full(array.shape, Nameless(), dtype=object)
        assert XarraySource(array.copy(data=objects)).token is None


def stac_item(path: Path, day: int) -> pystac.Item:
    """A STAC item of a file with a red and a nir band."""
    with rasterio.open(path) as dataset:
        shape, transform, bounds = dataset.shape, dataset.transform, dataset.bounds
    box = rasterio.warp.transform_bounds("EPSG:32633", "EPSG:4326", *bounds)
    west, south, east, north = box
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    when = datetime(2024, 7, 1 + day, 10, tzinfo=UTC)
    outline = {"type": "Polygon", "coordinates": [ring]}
    item = pystac.Item(path.stem, outline, list(box), when, {"proj:code": "EPSG:32633"})
    item.stac_extensions = [
        "https://stac-extensions.github.io/projection/v2.0.0/schema.json",
        "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
    ]
    for band in ("red", "nir"):
        with (
            rasterio.open(path) as dataset,
            rasterio.open(
                path.with_name(f"{path.stem}-{band}.tif"), "w", **(dataset.profile | {"count": 1})
            ) as single,
        ):
            single.write(dataset.read(1 + ("red", "nir").index(band)), 1)
        extra = {
            "proj:shape": list(shape), "proj:transform": list(transform)[:6],
            "raster:bands": [{"data_type": "uint16", "nodata": 0}],
        }  # fmt: skip
        item.add_asset(band, pystac.Asset(single.name, roles=["data"], extra_fields=extra))
    return item


class TestOpenScene:
    def test_a_scene_without_a_crs_says_so_and_the_option_heals_it(self, make: Make) -> None:
        path = make(GREY, crs=None).path
        with pytest.raises(RasterError) as caught:
            open_scene(path)
        assert str(caught.value) == f"{path}: has no CRS. Next: name it: --crs EPSG:32633"
        assert open_scene(path, ReadOptions(crs="EPSG:28992")).geobox.crs.epsg == 28992

    @pytest.mark.parametrize("crs", ["nonsense", "EPSG:99999999"])
    def test_a_crs_nobody_knows_is_named(self, scene: SmallScene, crs: str) -> None:
        with pytest.raises(RasterError, match=f"scene.tif: the CRS is not known; got {crs}"):
            open_scene(scene.path, ReadOptions(crs=crs))

    def test_bands_are_picked_by_name_or_number(self, scene: SmallScene) -> None:
        source = open_scene(scene.path, ReadOptions(bands=("b3", "1")))
        np.testing.assert_array_equal(source.read(WHOLE).pixels, scene.pixels[[2, 0]])

    @pytest.mark.parametrize("band", ["nir", "0", "4", "-1"])
    def test_a_band_that_is_not_there_is_named_with_those_that_are(
        self, scene: SmallScene, band: str
    ) -> None:
        with pytest.raises(ConfigError, match=f"has no band '{band}'; got b1, b2, b3"):
            open_scene(scene.path, ReadOptions(bands=(band,)))

    def test_a_url_is_refused_as_one(self) -> None:
        with pytest.raises(UnsafeError, match="only local files are read"):
            open_scene("https://example.com/a.tif")

    def test_an_array_and_a_source_are_scenes(self, scene: SmallScene) -> None:
        source = FileSource(scene.path)
        assert open_scene(source) is source
        assert isinstance(open_scene(array_of(scene)), XarraySource)


class TestFolder:
    @pytest.fixture
    def folder(self, tmp_path: Path, make_raster: MakeRaster) -> Path:
        for name in ("B02", "B03", "B8A"):
            make_raster(tmp_path / f"S2A, 2018-07-01, T33 {name}_10m.tif", GREY)
        coarse(make_raster, tmp_path / "S2A, 2018-07-01, T33 B05_20m.tif")
        (tmp_path / "metadata.xml").touch()
        return tmp_path

    def test_single_band_files_are_one_scene(self, folder: Path) -> None:
        source = open_scene(folder)
        assert [band.name for band in source.bands] == ["B02", "B03", "B05", "B8A"]
        assert source.geobox.shape == (96, 128)
        assert source.dtype == np.uint16

    def test_one_multiband_file_is_that_scene(self, scene: SmallScene) -> None:
        assert len(open_scene(scene.path.parent).bands) == 3

    def test_multiband_files_are_refused_and_named(
        self, folder: Path, make_raster: MakeRaster
    ) -> None:
        make_raster(folder / "rgb.tif", np.stack([GREY] * 3))
        with pytest.raises(RasterError) as caught:
            open_scene(folder)
        assert str(folder / "rgb.tif") in str(caught.value)
        assert "got 3 bands; wanted one band per file" in str(caught.value)

    def test_an_empty_folder_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match="holds no raster"):
            open_scene(tmp_path)

    def test_a_yaml_file_names_the_bands(self, folder: Path) -> None:
        path = folder / "scene.yaml"
        path.write_text(
            "nodata: 0\nbands:\n"
            '  nir: "S2A, 2018-07-01, T33 B8A_10m.tif"\n'
            '  blue: "S2A, 2018-07-01, T33 B02_10m.tif"\n'
        )
        source = open_scene(path)
        assert source.bands == (Band("nir", 0.0), Band("blue", 0.0))
        assert open_scene(path, ReadOptions(nodata=9)).bands[0].nodata == 9

    @pytest.mark.parametrize(
        ("text", "message"),
        [("band: {a: b.tif}", "got bands: Field required"), ("bands: [a.tif]", "got bands: Input")],
    )
    def test_a_yaml_file_that_is_no_scene_is_named(
        self, tmp_path: Path, text: str, message: str
    ) -> None:
        path = tmp_path / "scene.yaml"
        path.write_text(text)
        with pytest.raises(ConfigError, match=rf"scene\.yaml: does not describe.*{message}"):
            open_scene(path)


class TestBandNames:
    @pytest.mark.parametrize(
        ("stems", "names"),
        [
            (["S2, 2018, B02", "S2, 2018, B8A"], ["B02", "B8A"]),
            (["T33_B02_10m", "T33_B05_20m"], ["B02", "B05"]),
            (["LC08_2020_SR_B4", "LC08_2020_SR_B10"], ["B4", "B10"]),
            (["a_vv_db", "a_vh_db"], ["vv", "vh"]),
            (["red", "near infrared"], ["red", "near infrared"]),
            (["B02_2018", "B02_2019"], ["B02_2018", "B02_2019"]),
        ],
    )
    def test_files_are_named_by_what_tells_them_apart(
        self, stems: list[str], names: list[str]
    ) -> None:
        assert band_names([Path(f"{stem}.tif") for stem in stems]) == names


class TestOpenScenes:
    def test_a_pattern_stands_for_its_files_in_order(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        for name in ("b", "a", "[c]"):
            make_raster(tmp_path / f"{name}.tif", GREY)
        found = open_scenes([str(tmp_path / "?.tif"), str(tmp_path / "[c].tif")])
        assert [Path(source.name).stem for source in found] == ["a", "b", "[c]"]

    def test_a_pattern_without_files_says_where_it_looked(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        with pytest.raises(RasterError, match="matches no file; got current folder"):
            open_scenes(["no*.tif"])

    def test_all_scenes_that_fail_stand_in_one_error(
        self, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
    ) -> None:
        make_raster(tmp_path / "nocrs.tif", GREY, crs=None)
        (tmp_path / "html.tif").write_text("<html>")
        (tmp_path / "remote.tif").write_text(
            '<VRTDataset rasterXSize="1" rasterYSize="1"><VRTRasterBand><SimpleSource>'
            "<SourceFilename>/vsicurl/http://127.0.0.1:9/x</SourceFilename>"
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        with pytest.raises(InputError) as caught:
            open_scenes([scene.path, *sorted(tmp_path.glob("*.tif"))])
        text = str(caught.value)
        assert text.startswith("3 scenes cannot be used: ")
        assert all(name in text for name in ("nocrs.tif", "html.tif", "remote.tif"))
        assert "scene.tif" not in text

    def test_one_that_fails_keeps_its_own_error(self, tmp_path: Path, scene: SmallScene) -> None:
        with pytest.raises(UnsafeError):
            open_scenes([scene.path, "s3://bucket/a.tif"])


def test_every_source_is_one_by_its_members_alone() -> None:
    class Memory:
        name, geobox, bands, dtype, paths = "m", None, (), np.dtype("u1"), ()

        def take(self, positions: tuple[int, ...]) -> Memory:
            return self

        def read(self, window: Window) -> None: ...

    assert isinstance(Memory(), RasterSource)
    assert not isinstance(object(), RasterSource)
