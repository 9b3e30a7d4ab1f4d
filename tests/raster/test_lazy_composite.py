"""A median over dates, computed lazily, window by window."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import dask
import numpy as np
import odc.stac
import pystac
import pytest
import rasterio
import rasterio.warp
import rioxarray
import xarray as xr
from dask.distributed import Client, LocalCluster
from distributed.comm import inproc
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from raster_sources import WHOLE
from small_scene import NORTH_UP, MakeRaster

from geoseg import grid
from geoseg.grid import Window
from geoseg.raster import FileSource, XarraySource

RNG = np.random.default_rng(3)

type Make = Callable[..., FileSource]


@pytest.fixture
def make(tmp_path: Path, make_raster: MakeRaster) -> Make:
    """A function (array, name, **profile) that writes a raster and returns its source."""
    return lambda array, name="a.tif", **profile: FileSource(
        make_raster(tmp_path / name, array, **profile)
    )


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

    @pytest.mark.slow
    @pytest.mark.filterwarnings("ignore::DeprecationWarning")
    @pytest.mark.filterwarnings("ignore:All-NaN slice")
    @pytest.mark.parametrize("processes", [False, True])
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
