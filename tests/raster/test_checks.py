"""Checks of rasters and vector files as functions that any step can call."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pytest
import rasterio
import shapely
from affine import Affine
from rasterio.enums import ColorInterp

from geoseg.errors import InputError, RasterError, UnsafeError, VectorError
from geoseg.grid import Window
from geoseg.options import ReadOptions
from geoseg.problems import Problem, merge_files, problem_from, worst_first
from geoseg.raster import FileSource, XarraySource, on_grid, open_scene
from geoseg.raster import checks as raster_checks
from geoseg.vector import checks as vector_checks

NORTH_UP = Affine(2.0, 0, 412_000, 0, -2.0, 5_411_000)


def write(path: Path, pixels: Any, **options: Any) -> Path:
    profile = {"crs": "EPSG:32633", "transform": NORTH_UP, "driver": "GTiff"} | options
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile
    ) as target:
        target.write(pixels)
    return path


def noise(bands: int = 3) -> Any:
    return np.random.default_rng(0).integers(1, 250, (bands, 96, 128)).astype("uint8")


def collared(bands: int = 3) -> Any:
    """A quarter of the pixels is 0, and the file does not declare it."""
    pixels = noise(bands)
    pixels[:, :, :32] = 0
    return pixels


def codes(problems: list[Problem]) -> list[str]:
    return [each.code for each in problems]


def test_a_raster_file_is_checked_by_its_path_and_as_a_source(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", collared())
    (problem,) = raster_checks.problems_of(path)
    assert (problem.code, problem.level) == ("undeclared-nodata", "warning")
    assert "0 fills 25.0% of the pixels" in problem.message
    assert raster_checks.problems_of(open_scene(path)) == [problem]


def test_what_the_options_of_a_source_settle_is_no_problem_of_it(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", collared(), crs=None)
    assert codes(raster_checks.problems_of(path)) == ["no-crs", "undeclared-nodata"]
    with_crs = open_scene(path, ReadOptions(crs="EPSG:32633"))
    assert codes(raster_checks.problems_of(with_crs)) == ["undeclared-nodata"]
    with_both = open_scene(path, ReadOptions(crs="EPSG:32633", nodata=0))
    assert raster_checks.problems_of(with_both) == []


def test_an_alpha_band_named_in_the_options_is_not_hidden(tmp_path: Path) -> None:
    pixels = noise(4)
    pixels[3] = 255
    pixels[3, :10] = 0
    path = write(tmp_path / "drone.tif", pixels, photometric="RGB", alpha="NO")
    assert codes(raster_checks.problems_of(path)) == ["hidden-alpha"]
    assert raster_checks.problems_of(open_scene(path, ReadOptions(alpha=4))) == []


@pytest.mark.parametrize(("dtype", "opaque"), [("uint8", 128), ("uint16", 128), ("float32", 0.5)])
def test_a_pixel_is_valid_in_a_check_where_it_is_valid_when_read(
    tmp_path: Path, dtype: str, opaque: float
) -> None:
    pixels = noise(4).astype(dtype)
    pixels[3] = 0
    pixels[3, :24] = opaque
    path = write(tmp_path / "scene.tif", pixels)
    with rasterio.open(path, "r+") as target:
        target.colorinterp = [*target.colorinterp[:3], ColorInterp.alpha]
    block = FileSource(path).read(Window(0, 0, 96, 128))
    assert block.valid.mean() == raster_checks.inspect_raster(path).valid_share == 0.25


def test_alpha_that_is_never_opaque_is_explained(tmp_path: Path) -> None:
    pixels = noise(4)
    pixels[3] = 100
    path = write(tmp_path / "scene.tif", pixels, photometric="RGB", alpha="YES")
    (problem,) = raster_checks.problems_of(path)
    assert problem.code == "no-valid-pixel"
    assert problem.message.endswith("alpha reaches 100, and counts as opaque from 128")


def test_bands_of_several_dtypes_are_an_error_as_they_are_refused(tmp_path: Path) -> None:
    for name, dtype in (("a.tif", "uint8"), ("b.tif", "uint16")):
        write(tmp_path / name, noise(1).astype(dtype))
    path = tmp_path / "both.vrt"
    bands = "".join(
        f'<VRTRasterBand dataType="{kind}" band="{band}"><SimpleSource><SourceFilename '
        f'relativeToVRT="1">{name}</SourceFilename></SimpleSource></VRTRasterBand>'
        for band, (kind, name) in enumerate((("Byte", "a.tif"), ("UInt16", "b.tif")), start=1)
    )
    path.write_text(
        f'<VRTDataset rasterXSize="128" rasterYSize="96"><SRS>EPSG:32633</SRS><GeoTransform>'
        f"412000, 2, 0, 5411000, 0, -2</GeoTransform>{bands}</VRTDataset>"
    )
    (problem,) = raster_checks.problems_of(path)
    assert (problem.code, problem.level) == ("mixed-dtypes", "error")
    with pytest.raises(RasterError, match="its bands differ in dtype"):
        open_scene(path)


def test_a_problem_that_all_bands_of_a_folder_share_is_reported_once(tmp_path: Path) -> None:
    for name in ("B02.tif", "B03.tif", "B04.tif"):
        write(tmp_path / name, collared(1))
    source = open_scene(tmp_path)
    (problem,) = raster_checks.problems_of(source)
    assert problem.message.startswith("B02.tif: no nodata value is set")
    assert problem.message.endswith("(and 2 more files)")
    warped = on_grid(source, open_scene(tmp_path / "B02.tif").geobox.zoom_out(2), "bilinear")
    assert raster_checks.problems_of(warped) == [problem]


def test_bands_of_one_name_are_noted(tmp_path: Path) -> None:
    path = write(tmp_path / "scene.tif", noise(3))
    with rasterio.open(path, "r+") as target:
        target.descriptions = ("nir", "red", "nir")
    (problem,) = raster_checks.problems_of(path)
    assert (problem.code, problem.level) == ("band-name-twice", "note")
    assert "nir 1, nir 2" in problem.message


def test_arrays_are_not_computed_to_be_checked(tmp_path: Path) -> None:
    import odc.geo.xr  # noqa: F401  (registers the .odc accessor)
    import xarray as xr

    array = xr.DataArray(collared(1)[0], dims=("y", "x"))
    array = array.odc.assign_crs("EPSG:32633")
    array = array.assign_coords(
        y=5_411_000 - 2.0 * np.arange(96) - 1, x=412_000 + 2.0 * np.arange(128) + 1
    )
    assert raster_checks.problems_of(XarraySource(array)) == []


def test_a_deep_check_decodes_every_block(tmp_path: Path) -> None:
    blocks = {"tiled": True, "blockxsize": 64, "blockysize": 64, "compress": "deflate"}
    pixels = np.random.default_rng(0).integers(1, 250, (1, 1024, 1280)).astype("uint8")
    path = write(tmp_path / "scene.tif", pixels, **blocks)
    with rasterio.open(path, "r+") as target:
        target.build_overviews([2])  # the sample is taken from these
    with rasterio.open(path) as source:
        start = int(source.get_tag_item("BLOCK_OFFSET_7_7", "TIFF", bidx=1))
    data = bytearray(path.read_bytes())
    data[start : start + 40] = bytes(40)
    path.write_bytes(data)
    assert raster_checks.problems_of(path) == []
    (problem,) = raster_checks.problems_of(FileSource(path), deep=True)
    assert problem.message.startswith("1 of 320 blocks are broken")


def test_a_raster_that_cannot_be_opened_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(RasterError, match="cannot be read"):
        raster_checks.problems_of(tmp_path / "nowhere.tif")
    broken = tmp_path / "broken.tif"
    broken.write_bytes(b"II*\0" + bytes(100))
    with pytest.raises(RasterError, match="cannot be opened"):
        raster_checks.problems_of(broken)
    with pytest.raises(UnsafeError, match="only local files"):
        raster_checks.problems_of(Path("/vsicurl/http://127.0.0.1:9/a.tif"))


def test_a_vector_file_is_checked_layer_by_layer(tmp_path: Path) -> None:
    path = tmp_path / "labels.gpkg"
    square, line = shapely.box(0, 0, 9, 9), shapely.LineString([(0, 0), (9, 9)])
    geopandas.GeoDataFrame(geometry=[square], crs=32633).to_file(path, layer="fields")
    geopandas.GeoDataFrame(geometry=[line], crs=32633).to_file(path, layer="roads")
    no_polygons, several = vector_checks.problems_of(path)
    assert (no_polygons.code, no_polygons.level) == ("no-polygons", "error")
    assert no_polygons.message == "layer roads: has no polygons, but 1 LineString"
    assert several.message == "it has 2 layers: fields, roads"


def test_a_vector_file_without_fault_has_no_problems(tmp_path: Path) -> None:
    frame = geopandas.GeoDataFrame(geometry=[shapely.box(0, 0, 9, 9)], crs=32633)
    for name in ("labels.gpkg", "labels.fgb", "labels.shp"):
        frame.to_file(tmp_path / name)
        assert vector_checks.problems_of(tmp_path / name) == []
    frame.to_parquet(tmp_path / "labels.parquet")
    assert vector_checks.problems_of(tmp_path / "labels.parquet", deep=True) == []


def test_a_vector_file_that_cannot_be_read_is_an_exception(tmp_path: Path) -> None:
    with pytest.raises(VectorError, match="cannot be read"):
        vector_checks.problems_of(tmp_path / "nowhere.gpkg")
    path = tmp_path / "labels.geojson"
    path.write_text("<OGRVRTDataSource></OGRVRTDataSource>")
    with pytest.raises(UnsafeError, match="makes GDAL open"):
        vector_checks.problems_of(path)


def test_problems_are_sorted_by_level_and_keep_their_order_within_one() -> None:
    a, b = Problem("a", "note", "a"), Problem("b", "error", "b")
    c, d = Problem("c", "note", "c"), Problem("d", "warning", "d")
    assert worst_first([a, b, c, d]) == [b, d, a, c]


def test_merging_counts_the_other_files_of_a_code() -> None:
    flat, odd = Problem("constant", "warning", "flat"), Problem("no-crs", "error", "odd", "fix")
    merged = merge_files([("a.tif", [flat]), ("b.tif", [flat, odd]), ("c.tif", [flat])])
    assert merged == [
        Problem("no-crs", "error", "b.tif: odd", "fix"),
        Problem("constant", "warning", "a.tif: flat (and 2 more files)"),
    ]


def test_an_exception_becomes_a_problem_that_names_other_files_only() -> None:
    error = InputError("is broken", where="B02.tif", got="x", fix="fetch it again")
    assert problem_from(error, "B02.tif").message == "is broken; got x"
    elsewhere = problem_from(error, "scene.yaml")
    assert (elsewhere.message, elsewhere.fix) == ("B02.tif: is broken; got x", "fetch it again")
    assert elsewhere.code == "unreadable"
    assert problem_from(UnsafeError("runs code"), "a.vrt").code == "unsafe"
