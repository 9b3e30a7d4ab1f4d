"""What an exported network takes and gives: pixels divided by 255 in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoseg.models.input_scaling import divisors
from geoseg.models.saved.spec import ModelSpec

LEVELS = 255.0
"""The Deepness plugin divides pixels by 255, whatever their dtype (its preprocessing_utils.py, and
its issue 135); GeoDeep does so with 8 bit and leaves the metadata's mean and std aside."""
TOLERANCE = 1e-4


class Exported(nn.Module):
    """A network with all that has to happen before and after it.

    Scaling is part of the network, because not every program that reads the file scales. So is the
    softmax, because Deepness sets what lies below its threshold to 0 before it looks for the
    largest, and with logits that would make class 0 of everything negative.

    Args:
        network: maps (images, bands, height, width) of scaled pixels to logits.
        spec: how pixels are scaled, and the temperature.
    """

    gain: Tensor
    shift: Tensor

    def __init__(self, network: nn.Module, spec: ModelSpec) -> None:
        super().__init__()
        self.network, self.temperature = network, spec.temperature
        spread = torch.tensor(divisors(spec.std), dtype=torch.float64)
        mean = torch.tensor(spec.mean, dtype=torch.float64)
        self.register_buffer("gain", (LEVELS / spread).float()[:, None, None])
        self.register_buffer("shift", (mean / spread).float()[:, None, None])

    def forward(self, image: Tensor) -> Tensor:
        """(images, classes, height, width) probabilities."""
        logits = self.network(image * self.gain - self.shift)
        return torch.softmax(logits / self.temperature, dim=1)

    def pixels(self, scaled: Tensor) -> Tensor:
        """What the file is shown, given what the network shall see."""
        return (scaled + self.shift) / self.gain


@torch.inference_mode()
def probabilities(network: nn.Module, spec: ModelSpec, scaled: Tensor) -> Tensor:
    """What a model directory says of scaled pixels; what its export is held to."""
    found: Tensor = (network(scaled) / spec.temperature).softmax(dim=1)
    return found


def sample(bands: int, height: int, width: int) -> Tensor:
    """(1, bands, height, width) of noise as strong as training pixels are, after scaling."""
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(1, bands, height, width, generator=generator)
