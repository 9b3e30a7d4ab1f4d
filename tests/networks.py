"""Small networks with a known receptive field, and model directories made of them."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import torch
from torch import nn

from geoseg.classes import ClassScheme
from geoseg.models.networks.build import build
from geoseg.models.saved.model_files import save_model
from geoseg.models.saved.spec import ModelSpec

TWO_CLASSES = ClassScheme.model_validate(
    {
        "classes": [
            {"name": "land", "color": "#f2efe9"},
            {"name": "building", "color": "#d7191c"},
        ]
    }
)


class Pooling(nn.Module):
    """Stride 4 and a receptive radius of 16 pixels: 3x3, halve, 3x3, halve, 3x3, and back up."""

    def __init__(self, bands: int, classes: int) -> None:
        super().__init__()
        torch.manual_seed(3)
        widths = (bands, 8, 8, 8)
        self.steps = nn.ModuleList(nn.Conv2d(a, b, 3, padding=1) for a, b in pairwise(widths))
        self.last = nn.Conv2d(8, classes, 1)
        undecided(self, self.last)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        for index, step in enumerate(self.steps):
            image = torch.relu(step(image))
            if index < 2:
                image = nn.functional.max_pool2d(image, 2)
        return nn.functional.interpolate(self.last(image), scale_factor=4, mode="nearest")


@torch.no_grad()
def undecided(network: nn.Module, last: nn.Conv2d) -> None:
    """Make random weights answer with both classes: strong contrasts, no constant preference."""
    for parameter in network.parameters():
        parameter.mul_(2.5)
        if parameter.ndim == 1:
            parameter.zero_()
    last.weight.sub_(last.weight.mean(dim=1, keepdim=True))


def spec_for(
    bands: tuple[str, ...],
    *,
    dtype: str = "uint16",
    gsd_m: float = 0.5,
    stride: int = 1,
    halo: int = 6,
    scheme: ClassScheme = TWO_CLASSES,
) -> ModelSpec:
    """A spec for a scene like the small one."""
    return ModelSpec(
        architecture="fcn",
        backbone="resnet18",
        bands=bands,
        dtype=dtype,
        mean=(1000.0,) * len(bands),
        std=(400.0,) * len(bands),
        gsd_m=gsd_m,
        scheme=scheme,
        stride=stride,
        halo=halo,
        weights_sha256="",
        metrics={},
        versions={},
    )


def save_fcn(folder: Path, spec: ModelSpec) -> Path:
    """A model directory with torchgeo's five-layer FCN and fixed random weights."""
    torch.manual_seed(5)
    network = build("fcn", "", len(spec.bands), len(spec.scheme.classes))
    undecided(network, network.last)
    save_model(folder, network, spec)
    return folder
