"""Networks, scenes and probabilities for the tests of prediction recipes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from networks import spec_for, undecided
from numpy.typing import NDArray
from torch import nn

import geoseg
from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.models.networks.build import build
from geoseg.models.saved.model_files import save_model
from geoseg.models.saved.spec import ModelSpec

B3 = ("b1", "b2", "b3")
FP32 = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)
SPEC = spec_for(B3, stride=4, halo=16)
SHAPE = (96, 128)
WHOLE = grid.whole(SHAPE)
EVERYWHERE = np.ones(SHAPE, bool)
COLOURS = ("#1f78b4", "#33a02c", "#e31a1c", "#ff7f00")
NAMES = ("water", "forest", "built-up", "bare soil")


def scheme_of(count: int) -> ClassScheme:
    pairs = zip(NAMES[:count], COLOURS[:count], strict=True)
    return ClassScheme.model_validate({"classes": [{"name": n, "color": c} for n, c in pairs]})


def random_pixels(seed: int = 1, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(200, 2000, (3, *shape), dtype=np.uint16)


def softmax(
    network: nn.Module, pixels: NDArray[Any], mean: float = 1000.0, std: float = 400.0
) -> Any:
    """(classes, rows, columns) of what a network makes of pixels, as it is."""
    image = ((pixels.astype(float) - mean) / std).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.ascontiguousarray(image))[None])[0].numpy()
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def fcn(seed: int, classes: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    network = build("fcn", "", 3, classes)
    undecided(network, network.last)
    return network.eval()


def save(folder: Path, network: nn.Module, spec: ModelSpec) -> Path:
    save_model(folder, network, spec)
    return folder
