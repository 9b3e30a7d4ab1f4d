"""Views and ensembles, against averages in numpy."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from networks import Pooling, save_fcn, spec_for
from numpy.typing import NDArray
from pixelwise_specs import B2, WATER, pixelwise
from recipe_networks import (
    B3,
    EVERYWHERE,
    FP32,
    SHAPE,
    SPEC,
    WHOLE,
    fcn,
    random_pixels,
    save,
    scheme_of,
    softmax,
)
from small_scene import SmallScene
from torch import nn

import geoseg
from geoseg.errors import ModelError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import Ensemble, NetworkPredictor
from geoseg.models.saved.model_files import load_network, save_spec
from geoseg.models.saved.spec import ModelSpec
from geoseg.models.saved_model import SavedModel

type Floats = NDArray[np.float64]
type Network = Callable[[Floats], Floats]


def mirrored(pixels: NDArray[Any], network: Network, *, transposed: bool) -> Iterator[Floats]:
    """What a network makes of the image and its mirror images, each turned back."""
    for down in (1, -1):
        for right in (1, -1):
            image = pixels[:, ::down, ::right]
            if transposed:
                yield network(image.transpose(0, 2, 1)).transpose(0, 2, 1)[:, ::down, ::right]
            else:
                yield network(image)[:, ::down, ::right]


class TestViews:
    @pytest.mark.parametrize(("views", "count"), [("flips", 4), ("turns", 8)])
    def test_the_probabilities_of_all_symmetries_are_averaged(self, views: Any, count: int) -> None:
        pixels, network = random_pixels(), Pooling(3, 2).eval()

        def alone(image: NDArray[Any]) -> Any:
            return softmax(network, image)

        found = list(mirrored(pixels, alone, transposed=False))
        found += list(mirrored(pixels, alone, transposed=True)) if views == "turns" else []
        assert len(found) == count
        assert np.abs(found[0] - found[1]).max() > 0.1, "the network is not symmetric"
        mean = np.mean(found, axis=0)
        settings = InferenceSettings(views=views, probabilities=True)
        predictor = NetworkPredictor(Pooling(3, 2), SPEC, settings)
        np.testing.assert_allclose(predictor.probabilities(pixels, EVERYWHERE), mean, atol=1e-5)
        values = predictor(pixels, EVERYWHERE, WHOLE)
        sure = np.abs(mean[0] - mean[1]) > 1e-4
        assert np.array_equal(values[0][sure], mean.argmax(axis=0)[sure])
        assert np.abs(values[1] - 100 * mean.max(axis=0)).max() <= 0.501
        assert np.abs(values[2:] - 100 * mean).max() <= 0.501

    @pytest.mark.parametrize("views", ["flips", "turns"])
    def test_a_network_that_knows_no_directions_gives_the_same_classes(self, views: Any) -> None:
        pixels = random_pixels()
        plain = NetworkPredictor(Round(), SPEC)(pixels, EVERYWHERE, WHOLE)
        turned = NetworkPredictor(Round(), SPEC, InferenceSettings(views=views))(
            pixels, EVERYWHERE, WHOLE
        )
        assert np.array_equal(plain[0], turned[0])
        assert 0.2 < plain[0].mean() < 0.8

    def test_of_a_view_only_the_core_is_kept(self) -> None:
        pixels = random_pixels()
        predictor = NetworkPredictor(Pooling(3, 2), SPEC, InferenceSettings(views="turns"))
        core = Window(8, 20, 40, 60)
        everything = predictor(pixels, EVERYWHERE, WHOLE)
        assert np.array_equal(predictor(pixels, EVERYWHERE, core), everything[:, 8:48, 20:80])


class Round(nn.Module):
    """The mean of the 3 x 3 pixels around, less 100, against nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)
        with torch.no_grad():
            self.conv.weight[0] = 1.0
            self.conv.weight[1] = -1.0
            self.conv.bias.copy_(torch.tensor([-2.0, 2.0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image)


class TestEnsembles:
    def test_the_probabilities_of_the_models_are_averaged_each_with_its_own_scaling(
        self, tmp_path: Path
    ) -> None:
        specs = [spec_for(B3), spec_for(B3).model_copy(update={"mean": (500.0,) * 3})]
        folders = [save(tmp_path / f"{n}", fcn(n), spec) for n, spec in enumerate(specs)]
        pixels = random_pixels()
        mean = (softmax(fcn(0), pixels) + softmax(fcn(1), pixels, mean=500)) / 2
        ensemble = SavedModel.open(folders, InferenceSettings(confidence="margin")).load()
        assert isinstance(ensemble, Ensemble)
        np.testing.assert_allclose(ensemble.probabilities(pixels, EVERYWHERE), mean, atol=1e-5)
        values = ensemble(pixels, EVERYWHERE, WHOLE)
        sure = np.abs(mean[0] - mean[1]) > 1e-4
        assert np.array_equal(values[0][sure], mean.argmax(axis=0)[sure])
        assert np.abs(values[1] - 100 * np.abs(mean[0] - mean[1])).max() <= 0.501

    def test_the_order_of_the_models_does_not_matter(
        self, tmp_path: Path, scene: SmallScene
    ) -> None:
        models = [save(tmp_path / f"{n}", fcn(n), spec_for(B3)) for n in range(3)]
        found = []
        for name, order in (("one", models), ("other", models[::-1])):
            (folder,) = geoseg.predict(scene.path, order, tmp_path / name, options=FP32)
            with rasterio.open(folder / "classes.tif") as dataset:
                found.append(dataset.read(1))
        assert (found[0] == found[1]).mean() > 0.9999
        (alone,) = geoseg.predict(scene.path, models[0], tmp_path / "alone", options=FP32)
        with rasterio.open(alone / "classes.tif") as dataset:
            assert (dataset.read(1) != found[0]).mean() > 0.01, "one model alone says otherwise"

    def test_one_model_twice_is_that_model(self, tmp_path: Path, scene: SmallScene) -> None:
        model = save(tmp_path / "model", fcn(1), spec_for(B3))
        (once,) = geoseg.predict(scene.path, model, tmp_path / "once", options=FP32)
        (twice,) = geoseg.predict(scene.path, [model, model], tmp_path / "twice", options=FP32)
        assert sha256(once / "classes.tif") == sha256(twice / "classes.tif")

    @pytest.mark.parametrize(
        ("spec", "got"),
        [
            (spec_for(B3, scheme=scheme_of(2)), "b1, b2, b3, water, forest"),
            (spec_for(("b1", "b2", "nir")), "b1, b2, nir, land, building"),
        ],
        ids=["classes", "bands"],
    )
    def test_models_of_other_classes_or_bands_are_refused(
        self, spec: ModelSpec, got: str, tmp_path: Path, scene: SmallScene
    ) -> None:
        models = [save_fcn(tmp_path / "a", spec_for(B3)), save_fcn(tmp_path / "b", spec)]
        with pytest.raises(ModelError, match=f"b: maps other classes or bands.*got {got}; wanted"):
            geoseg.predict(scene.path, models, tmp_path / "map", options=FP32)

    def test_the_widest_view_and_a_common_stride_hold_for_all(self, tmp_path: Path) -> None:
        members = [
            NetworkPredictor(Pooling(3, 2), spec_for(B3, stride=stride, halo=halo))
            for stride, halo in ((4, 16), (6, 12))
        ]
        ensemble = Ensemble(members, InferenceSettings())
        assert (ensemble.stride, ensemble.halo) == (12, 16)


def test_a_recipe_on_a_model_directory_is_the_recipe_on_its_network(tmp_path: Path) -> None:
    folder = save_fcn(tmp_path / "model", spec_for(B3))
    settings = InferenceSettings(views="turns", confidence="entropy", probabilities=True)
    direct = NetworkPredictor(*load_network(folder), settings)
    loaded = SavedModel.open([folder], settings).load()
    pixels = random_pixels()
    assert np.array_equal(direct(pixels, EVERYWHERE, WHOLE), loaded(pixels, EVERYWHERE, WHOLE))
    assert loaded(pixels, EVERYWHERE, WHOLE).shape == (4, *SHAPE)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_fcn(tmp_path / "model", spec_for(B2))


class TestSeveralModels:
    def test_a_network_and_a_threshold_are_not_averaged(self, model: Path, tmp_path: Path) -> None:
        save_spec(tmp_path / "water", pixelwise("threshold", threshold=WATER))
        with pytest.raises(ModelError, match="networks are averaged with networks only"):
            SavedModel.open([model, tmp_path / "water"], InferenceSettings())

    def test_the_name_of_a_backbone_is_not_a_model(self) -> None:
        with pytest.raises(ModelError, match="weights of a backbone, not a model"):
            SavedModel.open([Path("ResNet18_Weights.SENTINEL2_RGB_MOCO")], InferenceSettings())
