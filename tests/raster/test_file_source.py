"""Raster files: places, valid pixels, facts and open handles."""

from __future__ import annotations

import pickle
import struct
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.control
import rasterio.shutil
from affine import Affine
from contracts import SourceContract
from odc.geo.geobox import GeoBox
from raster_sources import GREY, WHOLE
from rasterio.enums import ColorInterp
from small_scene import MakeRaster, SmallScene

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.raster import FileSource, WarpSource, handles

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


def test_a_handle_is_not_used_for_another_file_of_the_same_name(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    path = make_raster(tmp_path / "scene.tif", np.ones((1, 96, 128), np.uint8))
    assert FileSource(path).bands[0].nodata is None
    make_raster(path, np.ones((1, 96, 128), np.uint8), nodata=7)
    assert FileSource(path).bands[0].nodata == 7
