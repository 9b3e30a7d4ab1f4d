"""Blended windows: the same bytes for any region and worker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import TWO_CLASSES, Pooling, save_fcn, spec_for
from recipe_networks import B3, FP32, SPEC, random_pixels
from small_scene import MakeRaster, SmallScene
from torch import nn

import geoseg
from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.errors import ConfigError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.run.predictor import Layers
from geoseg.raster import FileSource
from geoseg.steps.predict.map_blended import map_blended
from geoseg.steps.predict.map_cores import map_cores
from geoseg.steps.predict.region_pixels import Windowing, read_region


class Constant(nn.Module):
    """75 % for the second class, wherever."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        odds = torch.tensor([0.0, float(np.log(3))])[None, :, None, None]
        return odds.expand(1, 2, *image.shape[2:]) + 0 * image[:, :1]


@dataclass(frozen=True)
class Plain:
    """A predictor that tells no probabilities."""

    stride: int = 1
    halo: int = 0
    fingerprint: str = "plain"
    scheme: ClassScheme = TWO_CLASSES

    def __call__(self, pixels: Any, valid: Any, core: Window) -> Layers:
        return np.zeros((2, *core.shape), np.uint8)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> FileSource:
    """300 x 420 px with a hole."""
    pixels = random_pixels(8, (300, 420))
    pixels[:, 100:140, 50:200] = 0
    return FileSource(make_raster(tmp_path_factory.mktemp("wide") / "wide.tif", pixels, nodata=0))


class TestBlending:
    def blended(
        self, source: FileSource, predictor: NetworkPredictor, area: Window, side: int, halo: int
    ) -> Layers:
        windows = Windowing(side, halo, blend=True)
        return map_blended(read_region(source, area, windows, predictor.stride), predictor)[0]

    @pytest.mark.parametrize(("side", "halo"), [(64, 16), (64, 0), (128, 64), (32, 48)])
    def test_a_constant_stays_constant(self, side: int, halo: int, wide: FileSource) -> None:
        settings = InferenceSettings(probabilities=True)
        predictor = NetworkPredictor(Constant(), spec_for(B3, stride=4), settings)
        whole = grid.whole(wide.geobox.shape)
        values = self.blended(wide, predictor, whole, side, halo)
        valid = wide.read(whole).valid
        assert (values[:, ~valid] == 255).all()
        for layer, value in zip(values, (1, 75, 25, 75), strict=True):
            assert (layer[valid] == value).all()

    @pytest.mark.parametrize(
        ("side", "halo"), [(64, 16), (32, 48), pytest.param(32, 72, marks=pytest.mark.slow)]
    )
    def test_a_region_does_not_change_a_byte(self, side: int, halo: int, wide: FileSource) -> None:
        """Also where the context is wider than a window, so that the second next reaches in."""
        predictor = NetworkPredictor(Pooling(3, 2), SPEC, InferenceSettings(probabilities=True))
        whole = grid.whole(wide.geobox.shape)
        at_once = self.blended(wide, predictor, whole, side, halo)
        for part in grid.split(whole, 128):
            found = self.blended(wide, predictor, part, side, halo)
            assert np.array_equal(found, at_once[:, *part.slices])

    def test_where_every_window_sees_enough_the_map_is_that_of_owned_pixels(
        self, wide: FileSource
    ) -> None:
        side, halo, radius = 128, 48, 16
        predictor = NetworkPredictor(Pooling(3, 2), SPEC)
        whole = grid.whole(wide.geobox.shape)
        owned, count = map_cores(read_region(wide, whole, Windowing(side, halo), 4), predictor)
        blended = self.blended(wide, predictor, whole, side, halo)
        assert count == 3 * 4
        enough, alone = np.ones(whole.shape, bool), np.ones(whole.shape, bool)
        for tile in read_region(wide, whole, Windowing(side, halo, blend=True), 4).tiles:
            (row, col), (stop_row, stop_col) = (tile.read.row, tile.read.col), tile.read.stop
            inner = np.zeros(whole.shape, bool)
            top, left = row + radius * (row > 0), col + radius * (col > 0)
            bottom = stop_row - radius * (stop_row < 300)
            right = stop_col - radius * (stop_col < 420)
            inner[top:bottom, left:right] = True
            reached, core = np.zeros(whole.shape, bool), np.zeros(whole.shape, bool)
            reached[row:stop_row, col:stop_col] = True
            core[tile.core.slices] = True
            enough &= inner | ~reached
            alone &= core | ~reached
        assert enough.mean() > 0.5
        assert alone.mean() > 0.1
        assert np.array_equal(owned[:, alone], blended[:, alone])
        assert (owned[0] == blended[0])[enough].mean() > 0.9999
        assert not np.array_equal(owned[1], blended[1]), "elsewhere windows fade into each other"

    @pytest.mark.slow
    def test_a_map_has_the_same_bytes_for_any_region_and_worker(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        scene = make_raster(tmp_path / "scene.tif", random_pixels(5, (100, 700)))
        model = save_fcn(tmp_path / "model", spec_for(B3, halo=32))
        sums = set()
        for region, workers in ((512, 0), (1024, 0), (None, 0), (512, 2)):
            options = FP32.model_copy(update={"blend": True, "region": region, "workers": workers})
            (folder,) = geoseg.predict(
                scene, model, tmp_path / f"{region}{workers}", options=options
            )
            sums.add(tuple(sha256(folder / f"{n}.tif") for n in ("classes", "confidence")))
        assert len(sums) == 1

    @pytest.mark.parametrize("option", ["blend", "probabilities"])
    def test_a_predictor_without_probabilities_is_refused(
        self, option: str, tmp_path: Path, scene: SmallScene
    ) -> None:
        options = geoseg.PredictOptions.model_validate({option: True})
        with pytest.raises(ConfigError, match=f"--{option}: needs a model directory"):
            geoseg.predict(scene.path, Plain(), tmp_path / "map", options=options)
