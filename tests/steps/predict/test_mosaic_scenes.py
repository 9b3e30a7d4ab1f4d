"""One map of many scenes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
import xarray as xr
from affine import Affine
from networks import save_fcn, spec_for
from pyproj import Transformer
from small_scene import MakeRaster
from thresholds import W256, Threshold, counts_of, random_pixels, sums

import geoseg
from geoseg.errors import GridError


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


class TestMosaic:
    @pytest.fixture
    def zones(self, tmp_path: Path, make_raster: MakeRaster) -> list[Path]:
        """Two scenes of 10 m around 12 E, 50 N, which overlap; one in each zone."""
        west = Affine(10, 0, 713_504, 0, -10, 5_543_007)
        east = Affine(10, 0, 284_203, 0, -10, 5_543_009)
        return [
            make_raster(tmp_path / "west.tif", random_pixels(1, (180, 220)), crs="EPSG:32632",
                        transform=west),
            make_raster(tmp_path / "east.tif", random_pixels(2, (200, 240)), crs="EPSG:32633",
                        transform=east),
        ]  # fmt: skip

    @pytest.mark.slow
    def test_scenes_of_two_zones_become_one_map(self, zones: list[Path], tmp_path: Path) -> None:
        model = save_fcn(tmp_path / "model", spec_for(("b1",), gsd_m=10))
        out = tmp_path / "map"
        options = geoseg.PredictOptions(
            engine="torch", precision="fp32", window=256, grid="EPSG:3035", probabilities=True
        )
        assert geoseg.predict(zones, model, out, options=options) == [out]
        assert sorted(path.name for path in out.iterdir()) == [
            ".choice.json",
            ".regions.json", "classes.tif", "classes.tif.aux.xml", "classes.yaml",
            "confidence.tif", "probabilities.tif", "run.json", "scenes",
        ]  # fmt: skip
        opened = geoseg.open_map(out)
        assert opened.odc.crs.epsg == 3035
        classes, percent = opened.classes.values, opened.probabilities.values.astype(int)
        assert percent.shape == (2, *classes.shape)
        assert np.array_equal(classes == 255, opened.confidence.values == 255)
        valid = classes != 255
        assert 0.5 < valid.mean() < 1
        assert set(np.unique(classes[valid])) == {0, 1}
        assert np.abs(percent.sum(axis=0) - 100)[valid].max() <= 1
        self.check_samples(opened, out / "scenes")

    def check_samples(self, opened: xr.Dataset, scenes: Path) -> None:
        """Each pixel is the one under its centre, in the map that is surest of it."""
        x, y = np.meshgrid(opened.x.values, opened.y.values)
        clear, layers = np.ones(x.shape, bool), []
        for name, epsg in (("west", 32632), ("east", 32633)):
            to_scene = Transformer.from_crs(3035, epsg, always_xy=True)
            found = geoseg.open_map(scenes / name)
            at_col, at_row = ~found.odc.affine @ to_scene.transform(x, y)
            rows, cols = np.floor(at_row).astype(int), np.floor(at_col).astype(int)
            height, width = found.classes.shape
            outside = (rows < 0) | (rows >= height) | (cols < 0) | (cols >= width)
            values = np.stack([found.confidence.values, found.classes.values]).astype(int)
            values = values[:, rows.clip(0, height - 1), cols.clip(0, width - 1)]
            layers.append(np.where(outside, [[[-1]], [[255]]], values))
            off = np.maximum(np.abs(at_col % 1 - 0.5), np.abs(at_row % 1 - 0.5))
            clear &= off < 0.35  # GDAL warps to an eighth of a pixel
        (sure, one), (other_sure, other) = layers
        clear &= (sure != other_sure) | (sure == -1)
        expected = np.where(other_sure > sure, other, one)
        assert np.array_equal(opened.classes.values[clear], expected[clear])
        assert ((sure >= 0) & (other_sure >= 0) & clear).sum() > 1000, "where the scenes overlap"

    @pytest.mark.slow
    def test_a_second_call_does_nothing_and_another_grid_warps_only(
        self, zones: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        out = tmp_path / "map"
        options = W256.model_copy(update={"grid": "EPSG:3035"})
        geoseg.predict(zones, threshold, out, options=options)
        assert threshold.calls() == 2
        before = sums(out)
        geoseg.predict(zones, threshold, out, options=options)
        assert (threshold.calls(), sums(out)) == (0, before)
        options = W256.model_copy(update={"grid": "EPSG:3035@20"})
        geoseg.predict(zones, threshold, out, options=options)
        assert threshold.calls() == 0
        with rasterio.open(out / "classes.tif") as dataset:
            assert dataset.res == (20, 20)
        assert counts_of(out)["nodata_pixels"] > 0

    def test_a_grid_that_is_none_is_refused_before_any_work(
        self, zones: list[Path], threshold: Threshold, tmp_path: Path
    ) -> None:
        options = W256.model_copy(update={"grid": "EPSG:nowhere"})
        with pytest.raises(GridError, match="neither a raster file nor a CRS"):
            geoseg.predict(zones, threshold, tmp_path / "map", options=options)
        assert threshold.calls() == 0
