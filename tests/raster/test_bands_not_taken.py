"""Whether a pixel is valid does not depend on the bands that are taken of an unsigned raster."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rioxarray
import xarray as xr
from small_scene import MakeRaster

from geoseg import grid
from geoseg.raster import RasterSource, open_scene
from geoseg.raster.block import Mask

HEIGHT, WIDTH = 32, 48
GREEN, NOTHING = (3, 5), (10, 20)
"""A pixel of (0, 77, 0), and one of zeros only; all others are of ones."""


@pytest.fixture
def path(tmp_path: Path, make_raster: MakeRaster) -> Path:
    pixels = np.ones((3, HEIGHT, WIDTH), np.uint8)
    pixels[:, *GREEN] = 0, 77, 0
    pixels[:, *NOTHING] = 0
    return make_raster(tmp_path / "rgb.tif", pixels, nodata=0)


def valid(source: RasterSource, *positions: int) -> Mask:
    return source.take(positions).read(grid.whole(source.geobox.shape)).valid


def arrays(path: Path) -> dict[str, xr.DataArray | xr.Dataset]:
    array = rioxarray.open_rasterio(path)
    assert isinstance(array, xr.DataArray)
    bands = {name: array[at].drop_vars("band") for at, name in enumerate("rgb")}
    chunked = rioxarray.open_rasterio(path, chunks={"x": 16, "y": 16})
    assert isinstance(chunked, xr.DataArray)
    return {"array": array, "dataset": xr.Dataset(bands), "chunked": chunked}


@pytest.mark.parametrize("kind", ["file", "array", "dataset", "chunked"])
def test_a_pixel_that_is_empty_in_the_taken_bands_alone_is_valid(kind: str, path: Path) -> None:
    source = open_scene(path if kind == "file" else arrays(path)[kind])
    for positions in (
        (0, 2),
        (0,),
        (1,),
        (2, 0),
        (0, 1, 2),
        *([] if kind == "dataset" else [(0, 0, 0)]),
    ):
        found = valid(source, *positions)
        assert found[GREEN], positions
        assert not found[NOTHING], positions
        assert found.sum() == HEIGHT * WIDTH - 1


@pytest.mark.parametrize("kind", ["array", "dataset", "chunked"])
def test_arrays_keep_the_rule_when_they_are_cut_and_taken_from_twice(kind: str, path: Path) -> None:
    source = open_scene(arrays(path)[kind]).take((0, 2))
    at = grid.Window(0, 0, 8, 8)
    for each in (source.cut(at), source.take((1,))):  # type: ignore[attr-defined]
        assert each.read(at).valid.all()
    assert source.token != open_scene(arrays(path)[kind]).token  # type: ignore[attr-defined]


def test_in_signed_rasters_the_bands_that_are_taken_decide(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    """So that a band without any data can be left out."""
    pixels = np.ones((2, HEIGHT, WIDTH), np.int16)
    pixels[1] = -9999
    source = open_scene(make_raster(tmp_path / "s.tif", pixels, nodata=-9999))
    assert valid(source, 0).all()
    assert not valid(source, 0, 1).any()
