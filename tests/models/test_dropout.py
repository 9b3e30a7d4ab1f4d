"""Dropout at prediction: reproducible masks, and a mean over passes."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import save_fcn, spec_for, undecided
from numpy.typing import NDArray
from recipe_networks import B3, EVERYWHERE, FP32, random_pixels, save
from small_scene import MakeRaster, SmallScene
from torch import nn

import geoseg
from geoseg import grid
from geoseg.errors import ModelError
from geoseg.files import sha256
from geoseg.models.networks import dropout
from geoseg.models.networks.build import build
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.run.predictor import Layers


class Forgetful(nn.Module):
    """A convolution, a batch norm, both kinds of dropout and a decision."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.values, self.channels = nn.Dropout(0.3), nn.Dropout2d(0.25)
        self.last = nn.Conv2d(16, 2, 1)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        undecided(self, self.last)
        self.norm.weight.data.fill_(1.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.channels(self.values(torch.relu(self.norm(self.first(image))))))


class TestDropout:
    def test_the_same_window_gets_the_same_masks_in_any_order_and_thread(self) -> None:
        windows = [random_pixels(seed, (32, 16 * (2 + seed % 3))) for seed in range(9)]

        def fresh() -> NetworkPredictor:
            return NetworkPredictor(Forgetful(), spec_for(B3), InferenceSettings(passes=4))

        def of(predictor: NetworkPredictor, pixels: NDArray[Any]) -> Layers:
            shape = pixels.shape[1:]
            return predictor(pixels, np.ones(shape, bool), grid.whole(shape))

        first = fresh()
        alone = [of(first, each) for each in windows]
        second = fresh()
        with ThreadPoolExecutor(4) as threads:
            reverse = list(threads.map(lambda each: of(second, each), windows[::-1]))[::-1]
        for one, other in zip(alone, reverse, strict=True):
            assert np.array_equal(one, other)

    def test_passes_change_the_map_and_more_of_them_change_it_less(self) -> None:
        pixels = random_pixels()
        found = [
            NetworkPredictor(Forgetful(), spec_for(B3), InferenceSettings(passes=passes))
            .probabilities(pixels, EVERYWHERE)
            .numpy()
            for passes in (0, 1, 16, 64)
        ]
        one, some, many = (float(np.abs(each - found[3]).mean()) for each in found[:3])
        assert one > 0.001
        assert many < some / 2

    def test_dropout_zeroes_its_share_and_keeps_the_mean(self) -> None:
        values = torch.ones(1, 400, 10, 20)
        for kind, whole in ((nn.Dropout(0.25), False), (nn.Dropout2d(0.25), True)):
            network = dropout.keep_on(nn.Sequential(nn.Identity(), kind)).eval()
            dropout.seed(7)
            found = network(values)
            assert found.unique().tolist() == pytest.approx([0, 4 / 3])
            assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.07)
            per_channel = found.flatten(2).std(dim=2)
            assert bool((per_channel == 0).all()) is whole
            dropout.seed(7)
            assert torch.equal(network(values), found)
            assert not torch.equal(network(values), found), "the next pass has other masks"

    def test_a_network_without_dropout_is_refused(self, tmp_path: Path, scene: SmallScene) -> None:
        model = save_fcn(tmp_path / "model", spec_for(B3))
        options = FP32.model_copy(update={"passes": 3})
        with pytest.raises(ModelError, match="no dropout to leave on.*--passes"):
            geoseg.predict(scene.path, model, tmp_path / "map", options=options)
        with pytest.raises(ModelError, match="no dropout to leave on"):
            dropout.keep_on(nn.Sequential(nn.Dropout(0.0)))

    @pytest.mark.slow
    def test_a_map_has_the_same_bytes_for_any_run_region_and_worker(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        scene = make_raster(tmp_path / "scene.tif", random_pixels(5, (300, 700)))
        torch.manual_seed(2)
        network = build("deeplabv3+", "resnet18", 3, 2)
        spec = spec_for(B3, stride=32, halo=32)
        deep = spec.model_copy(update={"architecture": "deeplabv3+", "backbone": "resnet18"})
        model = save(tmp_path / "model", network, deep)
        sums = {}
        for name, update in {
            "one": {"passes": 2},
            "again": {"passes": 2},
            "large": {"passes": 2, "region": 1024},
            "workers": {"passes": 2, "workers": 2},
            "without": {},
        }.items():
            options = FP32.model_copy(update=update)
            (folder,) = geoseg.predict(scene, model, tmp_path / name, options=options)
            sums[name] = sha256(folder / "confidence.tif")
        assert sums["one"] == sums["again"] == sums["large"] == sums["workers"]
        assert sums["one"] != sums["without"]
