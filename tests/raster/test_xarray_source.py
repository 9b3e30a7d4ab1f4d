"""Arrays and data sets of xarray as scenes."""

from __future__ import annotations

import pickle
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cloudpickle
import dask.array
import numpy as np
import odc.geo.xr
import pytest
import rioxarray
import xarray as xr
from affine import Affine
from contracts import SourceContract
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from raster_sources import GREY, WHOLE, array_of
from small_scene import MakeRaster, SmallScene

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.options import ReadOptions
from geoseg.raster import Band, FileSource, XarraySource, open_scene

type Make = Callable[..., FileSource]


@pytest.fixture
def make(tmp_path: Path, make_raster: MakeRaster) -> Make:
    """A function (array, name, **profile) that writes a raster and returns its source."""
    return lambda array, name="a.tif", **profile: FileSource(
        make_raster(tmp_path / name, array, **profile)
    )


class TestXarraySource(SourceContract):
    @pytest.fixture(params=["numpy", "dask", "dataset"])
    def source(self, scene: SmallScene, request: pytest.FixtureRequest) -> XarraySource:
        array = array_of(scene, chunks=request.param != "numpy")
        return XarraySource(cube_of(array) if request.param == "dataset" else array, "composite")


def cube_of(array: xr.DataArray) -> xr.Dataset:
    """The bands as variables, each with its attributes, as odc.stac.load hands them over."""
    cube = array.to_dataset(dim="band")
    for band in cube.data_vars.values():
        band.attrs.update(array.attrs)
    return cube


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


class TestToken:
    @pytest.mark.slow
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


@pytest.mark.parametrize(
    ("kept", "message"),
    [
        ({"y": [0, 1, 3, 4]}, "its y are not evenly spaced; got 97, then 93; wanted steps of -2"),
        ({"y": [0, 2, 3, 4]}, "its y are not evenly spaced; got 99, then 95; wanted steps of -2"),
        ({"x": [0, 1, 2, 5, 6]}, "its x are not evenly spaced; got 505, then 511"),
    ],
)
def test_a_gap_in_an_axis_is_refused_with_its_place(
    kept: dict[str, list[int]], message: str
) -> None:
    coords = {"y": 99 - 2.0 * np.arange(6), "x": 501 + 2.0 * np.arange(8)}
    array = xr.DataArray(np.zeros((6, 8), np.uint8), coords=coords, dims=("y", "x"))
    array = array.odc.assign_crs("EPSG:32633")
    with pytest.raises(RasterError, match=re.escape(message)):
        XarraySource(array.isel(kept))
    assert XarraySource(array.isel(y=[0, 2, 4])).geobox.shape == (3, 8)


def test_degrees_of_32_bits_are_not_stretched() -> None:
    """At 170 degrees a float32 has steps of 1.5e-5, a tenth of a pixel of 15 m."""
    lon, lat = 170 + 1.35e-4 * np.arange(4000), -40 - 1.35e-4 * np.arange(3000)
    array = xr.DataArray(
        np.zeros((3000, 4000), np.uint8),
        coords={"latitude": lat.astype(np.float32), "longitude": lon.astype(np.float32)},
        dims=("latitude", "longitude"),
    ).odc.assign_crs("EPSG:4326")  # fmt: skip
    geobox = XarraySource(array).geobox
    assert geobox.shape == (3000, 4000)
    x, y = geobox.affine @ (3999.5, 2999.5)
    assert abs(x - lon[-1]) < 0.1 * 1.35e-4
    assert abs(y - lat[-1]) < 0.1 * 1.35e-4
    wrong, _ = array.odc.geobox.affine @ (3999.5, 2999.5)
    assert abs(wrong - lon[-1]) > 60 * 1.35e-4, "by odc-geo itself"
