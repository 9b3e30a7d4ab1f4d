"""Models and chips that are damaged or do not go together are refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import torch
from affine import Affine
from conftest import SCHEME
from networks import save_fcn, spec_for
from odc.geo.geobox import GeoBox
from safetensors.torch import load_file, save_file
from shapely import box
from torch import nn

from geoseg.chips.chip_arrays import ChipArrays
from geoseg.chips.split_areas import read_areas
from geoseg.classes import ClassScheme
from geoseg.errors import ChipsError, ModelError
from geoseg.models.input_scaling import scaled
from geoseg.models.networks.build import build
from geoseg.models.pixelwise.learn import learn
from geoseg.models.pixelwise.pixel_predictor import PixelPredictor
from geoseg.models.pretrained import weight_files
from geoseg.models.pretrained.transfer import Kernel, load_weights
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import LogitsPredictor
from geoseg.models.saved.model_files import load_network, read_arrays, save_arrays, save_spec
from geoseg.models.saved.spec import ModelSpec, Threshold, read_spec
from geoseg.models.saved_model import SavedModel

B2 = ("b1", "b2")
WATER = Threshold(index="ndwi", bands=B2, at=0.1)


def changed(folder: Path, name: str, value: torch.Tensor | None) -> Path:
    """Replace a tensor of a model directory, or remove it, and write the spec anew."""
    spec = read_spec(folder)
    weights = load_file(folder / "model.safetensors")
    weights.pop(name)
    save_file(weights | ({} if value is None else {name: value}), folder / "model.safetensors")
    save_spec(folder, spec)
    return folder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return save_fcn(tmp_path / "model", spec_for(B2))


def pixelwise(architecture: str, **more: object) -> ModelSpec:
    content = {
        "architecture": architecture, "bands": B2, "dtype": "uint8", "mean": (0, 0), "std": (1, 1),
        "gsd_m": 1.0, "scheme": SCHEME, **more,
    }  # fmt: skip
    return ModelSpec.model_validate(content)


class TestNetworks:
    def test_weights_that_are_not_finite_are_refused_by_name(self, model: Path) -> None:
        broken = changed(model, "last.bias", torch.tensor([0.0, float("nan")]))
        with pytest.raises(ModelError, match=r"not finite; got last\.bias"):
            load_network(broken)

    def test_weights_of_another_network_are_refused(self, model: Path) -> None:
        with pytest.raises(ModelError, match="the weights do not fit"):
            load_network(changed(model, "last.bias", None))

    def test_a_backbone_that_nobody_knows_is_refused(self) -> None:
        with pytest.raises(ModelError, match="the backbone does not make a unet.*resnet18"):
            build("unet", "resnet17", 3, 2)

    def test_a_network_without_convolutions_takes_no_weights(self) -> None:
        with pytest.raises(ModelError, match="without convolutions"):
            load_weights(nn.Linear(2, 2), {"weight": torch.zeros(2, 2)}, Kernel((), B2))

    def test_big_endian_pixels_are_scaled_like_native_ones(self) -> None:
        seen: list[torch.Tensor] = []

        def forward(images: torch.Tensor) -> torch.Tensor:
            seen.append(images)
            return images

        spec = spec_for(B2, dtype="float32")
        predictor = LogitsPredictor(forward, spec, InferenceSettings(), torch.device("cpu"))
        native = np.arange(32, dtype=np.float32).reshape(2, 4, 4)
        for pixels in (native, native.astype(">f4")):
            predictor.probabilities(pixels, np.ones((4, 4), bool))
        wanted = scaled(torch.tensor(native[None]), torch.ones(1, 4, 4) > 0, spec.mean, spec.std)
        assert torch.equal(seen[0], wanted)
        assert torch.equal(seen[1], wanted)


class TestPixelwiseModels:
    def test_one_class_is_not_enough_to_learn_from(self, tmp_path: Path) -> None:
        labels = np.full((1, 32, 32), 255, np.uint8)
        labels[0, :4] = 1
        images = np.ones((1, 2, 32, 32), np.uint8)
        chips = ChipArrays(images, np.ones(labels.shape, bool), labels, np.array([0]))
        with pytest.raises(ChipsError, match="two classes with labelled training pixels"):
            learn(chips, chips, pixelwise("forest", features="pixel"), "ndwi", 0, tmp_path)

    def test_a_threshold_of_three_classes_is_refused(self, tmp_path: Path) -> None:
        three = ClassScheme.model_validate(
            {"classes": [{"name": name, "color": "#000000"} for name in "abc"]}
        )
        with pytest.raises(ModelError, match="a threshold needs two classes"):
            PixelPredictor.load(tmp_path, pixelwise("threshold", threshold=WATER, scheme=three))

    def test_a_threshold_model_without_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="must hold its threshold"):
            PixelPredictor.load(tmp_path, pixelwise("threshold"))

    def test_arrays_of_something_else_are_refused(self, tmp_path: Path) -> None:
        spec = save_arrays(tmp_path, {"bark": np.zeros(3)}, pixelwise("forest", features="pixel"))
        with pytest.raises(ModelError, match="the weights do not fit"):
            PixelPredictor.load(tmp_path, spec)

    def test_arrays_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        spec = save_arrays(tmp_path, {"bias": np.array([np.inf])}, pixelwise("svm"))
        with pytest.raises(ModelError, match="not finite; got bias"):
            read_arrays(tmp_path, spec)


class TestSeveralModels:
    def test_a_network_and_a_threshold_are_not_averaged(self, model: Path, tmp_path: Path) -> None:
        save_spec(tmp_path / "water", pixelwise("threshold", threshold=WATER))
        with pytest.raises(ModelError, match="networks are averaged with networks only"):
            SavedModel.open([model, tmp_path / "water"], InferenceSettings())

    def test_the_name_of_a_backbone_is_not_a_model(self) -> None:
        with pytest.raises(ModelError, match="weights of a backbone, not a model"):
            SavedModel.open([Path("ResNet18_Weights.SENTINEL2_RGB_MOCO")], InferenceSettings())


class TestWeightFiles:
    def test_a_file_without_tensors_holds_no_weights(self, tmp_path: Path) -> None:
        torch.save({"epoch": 3}, tmp_path / "w.pth")
        with pytest.raises(ModelError, match=r"w\.pth: holds no weights"):
            weight_files.read(tmp_path / "w.pth")

    def test_weights_that_are_not_finite_are_refused_by_name(self, tmp_path: Path) -> None:
        save_file({"stem": torch.tensor([float("inf")])}, tmp_path / "w.safetensors")
        with pytest.raises(ModelError, match="not finite; got stem"):
            weight_files.read(tmp_path / "w.safetensors")


def test_areas_of_two_splits_may_not_overlap(tmp_path: Path) -> None:
    """Two squares of 20 x 20 m that share 10 x 20 m."""
    geobox = GeoBox((100, 100), Affine(1, 0, 500_000, 0, -1, 5_000_000), "EPSG:32633")
    squares = [box(500_000 + west, 4_999_950, 500_020 + west, 4_999_970) for west in (10, 20)]
    frame = gpd.GeoDataFrame({"split": ["train", "test"]}, geometry=squares, crs="EPSG:32633")
    frame.to_file(tmp_path / "areas.gpkg")
    with pytest.raises(ChipsError, match=r"areas of different splits overlap; got 200 m2"):
        read_areas(tmp_path / "areas.gpkg", geobox, column="split")
