"""Lazy arrays, mapped without a file in between."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import dask.array as da
import numpy as np
import pytest
import xarray as xr
from odc.geo.geobox import GeoBox
from odc.geo.xr import xr_coords
from small_scene import NORTH_UP, MakeRaster
from thresholds import BROKEN, HEIGHT, W256, WIDTH, WINDOWS, Threshold, classes_of, sums

import geoseg
from geoseg.errors import PartialError
from geoseg.grid import Window
from geoseg.raster import XarraySource


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


class TestLazyArrays:
    @pytest.fixture
    def dates(self) -> xr.DataArray:
        """5 dates of 2 bands of 600 x 1100 px, lazily, with gaps."""
        rng, shape, chunks = da.random.default_rng(9), (5, 2, HEIGHT, WIDTH), (5, 1, 256, 300)
        cube = rng.integers(200, 2000, shape, chunks=chunks).astype(np.float32)
        cube = da.where(rng.random(shape, chunks=chunks) < 0.3, np.nan, cube)
        geobox = GeoBox((HEIGHT, WIDTH), NORTH_UP, "EPSG:32633")
        times = np.arange("2024-06-01", "2024-06-06", dtype="datetime64[D]").astype("M8[ns]")
        coords = xr_coords(geobox, always_yx=True) | {"time": times}
        found = xr.DataArray(cube, coords, ("time", "band", "y", "x"))
        return found.where((found.y < found.y[100]) | (found.x > found.x[149]))

    def lazy(self, dates: xr.DataArray) -> xr.DataArray:
        return dates.median("time")

    @pytest.mark.parametrize("workers", [0, pytest.param(2, marks=pytest.mark.slow)])
    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    def test_a_median_is_mapped_like_the_file_it_would_make(
        self, workers: int, dates: xr.DataArray, threshold: Threshold, tmp_path: Path,
        make_raster: MakeRaster, caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        options = W256.model_copy(update={"workers": workers})
        composite = self.lazy(dates)
        assert composite.chunks is not None
        (folder,) = geoseg.predict(composite, threshold, tmp_path / "lazy", options=options)
        calls = threshold.calls()
        path = make_raster(tmp_path / "eager.tif", composite.compute().values, nodata=np.nan)
        (eager,) = geoseg.predict(path, threshold, tmp_path / "eager", options=W256)
        assert sums(folder) == sums(eager)
        assert (classes_of(folder)[:100, :150] == 255).all()
        assert threshold.calls() == calls == WINDOWS
        with caplog.at_level(logging.INFO, logger="geoseg"):
            geoseg.predict(self.lazy(dates), threshold, tmp_path / "lazy", options=options)
        assert f"{folder}: unchanged, skipped" in caplog.messages
        assert threshold.calls() == 0

    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    @pytest.mark.slow
    def test_a_run_on_one_goes_on_where_it_stopped(
        self, dates: xr.DataArray, threshold: Threshold, tmp_path: Path
    ) -> None:
        corner = (dates.y < dates.y[550]) & (dates.x > dates.x[1050])
        composite = self.lazy(dates).where(~corner, BROKEN)
        broken = replace(threshold, broken=True)
        with pytest.raises(PartialError):
            geoseg.predict(composite, broken, tmp_path / "map", options=W256)
        first = threshold.calls()
        geoseg.predict(composite, threshold, tmp_path / "map", options=W256)
        assert (first, threshold.calls()) == (WINDOWS - 1, 1)

    def test_a_region_carries_only_what_it_reads(self, dates: xr.DataArray) -> None:
        source = XarraySource(self.lazy(dates))
        part = source.cut(Window(0, 0, 256, 256))
        assert len(dict(part.array.__dask_graph__())) < len(dict(source.array.__dask_graph__())) / 3
