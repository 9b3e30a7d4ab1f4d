"""Networks and model directories that are damaged or do not fit are refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from networks import save_fcn, spec_for
from pixelwise_specs import B2
from safetensors.torch import load_file, save_file
from torch import nn

from geoseg.errors import ModelError
from geoseg.models.input_scaling import scaled
from geoseg.models.networks.build import build
from geoseg.models.pretrained.transfer import Kernel, load_weights
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import LogitsPredictor
from geoseg.models.saved.model_files import load_network, save_spec
from geoseg.models.saved.spec import read_spec


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
