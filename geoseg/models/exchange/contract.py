"""The interface of exported networks: pixels divided by 255 in, probabilities out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from geoseg.models.input_scaling import divisors
from geoseg.models.saved.spec import ModelSpec

LEVELS = 255.0
"""The Deepness plugin divides pixels by 255, whatever their dtype (its preprocessing_utils.py, and
its issue 135); GeoDeep does so with 8 bit and leaves the metadata's mean and std aside."""
TOLERANCE = 1e-4
"""By how much probabilities of an export may differ from torch's: a hundredth of a percent."""


class Exported(nn.Module):
    """A network with scaling before it and softmax after it.

    Scaling is part of the network, because not every program that reads the file scales pixels.
    So is the softmax: Deepness sets values below its threshold to 0 before it looks for the
    largest, and negative logits would all become class 0.

    Scaling is `input_scaling.scaled` with the division by 255 undone, as one multiplication and
    one subtraction; so the last bits differ, within `TOLERANCE`.

    Args:
        network: maps scaled pixels, (images, bands, height, width), to logits.
        spec: scaling of the bands, and temperature.
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
        """Map pixels divided by 255 to (images, classes, height, width) probabilities."""
        logits = self.network(image * self.gain - self.shift)
        return torch.softmax(logits / self.temperature, dim=1)

    def pixels(self, scaled: Tensor) -> Tensor:
        """Undo the scaling: pixels divided by 255 for the given network inputs."""
        return (scaled + self.shift) / self.gain


@torch.inference_mode()
def probabilities(network: nn.Module, spec: ModelSpec, scaled: Tensor) -> Tensor:
    """Probabilities of a network for scaled pixels, which its export has to reproduce."""
    found: Tensor = (network(scaled) / spec.temperature).softmax(dim=1)
    return found


def noise(bands: int, height: int, width: int) -> Tensor:
    """Standard normal noise, like scaled training pixels, (1, bands, height, width)."""
    generator = torch.Generator().manual_seed(height * width)
    return torch.randn(1, bands, height, width, generator=generator)
