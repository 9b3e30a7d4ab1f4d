"""`geoseg.trace`: arrays, files, DataArrays and sources of the same classes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import shapely
import xarray as xr
from affine import Affine
from odc.geo.geobox import GeoBox
from odc.geo.xr import wrap_xr

import geoseg
from geoseg.errors import GridError, RasterError
from geoseg.job import WorkerOptions
from geoseg.polygonize import Regions, Rules, Visvalingam, collect
from geoseg.raster import FileSource

AFFINE = Affine(10.0, 0, 465180.0, 0, -10.0, 5080250.0)
GEOBOX = GeoBox((96, 128), AFFINE, "EPSG:32633")


def classes() -> np.ndarray:
    values = np.random.default_rng(3).integers(0, 4, (96, 128), dtype=np.uint8)
    values[10:30, 40:90] = 255
    return values


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "classes.tif"
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=96, width=128, dtype="uint8", nodata=255,
        crs=32633, transform=AFFINE,
    ) as dataset:  # fmt: skip
        dataset.write(classes(), 1)
    return path


def same(one: Regions, other: Regions) -> bool:
    return bool(
        shapely.equals_exact(one.geometries, other.geometries).all()
        and np.array_equal(one.values, other.values)
        and np.array_equal(one.first, other.first)
    )


def test_a_file_an_array_on_a_grid_a_data_array_and_a_source_are_one_map(file: Path) -> None:
    array = wrap_xr(classes(), GEOBOX, nodata=255)
    assert isinstance(array, xr.DataArray)
    of_file = collect(geoseg.trace(file))
    assert len(of_file.values) > 1000
    for each in (str(file), geoseg.ArraySource(classes(), GEOBOX), array, FileSource(file)):
        assert same(collect(geoseg.trace(each)), of_file)
    lazy = array.chunk({"y": 40, "x": 50})
    assert same(collect(geoseg.trace(lazy, confidence=np.full((96, 128), 7, np.uint8))), of_file)


def test_a_bare_array_is_drawn_in_columns_and_rows() -> None:
    found = collect(geoseg.trace(np.array([[5, 5, 9], [5, 255, 9]], np.uint16)))
    assert found.values.tolist() == [5, 9]
    assert shapely.area(found.geometries).tolist() == [3, 2]
    assert shapely.bounds(found.geometries).tolist() == [[0, 0, 2, 2], [2, 0, 3, 2]]


def test_metres_mean_nothing_without_a_crs() -> None:
    rules = Rules(simplify=Visvalingam(100))
    with pytest.raises(GridError, match="CRS"):
        list(geoseg.trace(classes(), rules=rules))


@pytest.mark.parametrize("wrong", [np.zeros(4, np.uint8), np.zeros((1, 4, 6), np.uint8)])
def test_an_array_of_other_dimensions_is_refused(wrong: np.ndarray) -> None:
    with pytest.raises(RasterError, match="wanted rows and columns"):
        geoseg.trace(wrong)


@pytest.mark.slow
def test_worker_processes_draw_the_same(file: Path) -> None:
    rules = Rules(min_area_m2=500, smooth=1)
    here = collect(geoseg.trace(file, rules=rules))
    there = collect(geoseg.trace(file, rules=rules, options=WorkerOptions(workers=1)))
    assert same(here, there)
