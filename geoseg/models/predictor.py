"""Pixels in, classes and confidence out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
import torch
from numpy.typing import NDArray

from geoseg.errors import ModelError
from geoseg.models.spec import ModelSpec
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

type Bytes = NDArray[np.uint8]


@runtime_checkable
class Predictor(Protocol):
    """Maps a window to classes."""

    @property
    def stride(self) -> int:
        """Windows start, and their sides are, at multiples of it."""
        ...

    @property
    def halo(self) -> int:
        """Pixels of context it wants around what is kept."""
        ...

    def __call__(self, pixels: Pixels, valid: Mask) -> tuple[Bytes, Bytes]:
        """Class ids and confidence in percent, both (height, width).

        Args:
            pixels: (bands, height, width), as stored; meaningless where not valid.
            valid: (height, width).
        """
        ...


class NetworkPredictor:
    """A torch network as a predictor.

    Args:
        network: maps (1, bands, height, width) to (1, classes, height, width) logits.
        spec: how pixels are scaled, and the stride and halo.
        device: where it runs; the GPU where there is one.
    """

    def __init__(self, network: nn.Module, spec: ModelSpec, device: str | None = None) -> None:
        self.spec = spec
        self._device = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = network.eval().to(memory_format=torch.channels_last)
        self._network = network.to(self._device)

    @property
    def stride(self) -> int:
        """The network's total downsampling."""
        return self.spec.stride

    @property
    def halo(self) -> int:
        """Pixels of context."""
        return self.spec.halo

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, valid: Mask) -> tuple[Bytes, Bytes]:
        """Class ids and confidence in percent, both (height, width).

        Raises:
            ModelError: the network returns numbers that are not finite.
        """
        images = scale(pixels[None], valid[None], self.spec.mean, self.spec.std)
        images = images.to(self._device, memory_format=torch.channels_last)
        classes, percent = decide(self._network(images))
        return classes[0].cpu().numpy(), percent[0].cpu().numpy()


def scale(pixels: Pixels, valid: Mask, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Network input: (pixel - mean) / std as float32, and 0 (the mean) where not valid.

    Args:
        pixels: (images, bands, height, width).
        valid: (images, height, width).
        mean: by band.
        std: by band; a constant band has 0 and is only centred.
    """
    shift = np.array(mean, dtype=np.float32)[:, None, None]
    factor = np.array([1 / s if s > 0 else 1.0 for s in std], dtype=np.float32)[:, None, None]
    scaled = (pixels.astype(np.float32) - shift) * factor
    np.copyto(scaled, 0.0, where=~valid[:, None])
    return torch.from_numpy(scaled)


def decide(logits: Tensor) -> tuple[Tensor, Tensor]:
    """The likeliest class and its softmax probability in percent, both uint8.

    Args:
        logits: (images, classes, height, width).

    Raises:
        ModelError: a logit is not finite.
    """
    best, classes = logits.max(dim=1)
    spread = (logits - best[:, None]).exp_().sum(dim=1)
    if not torch.isfinite(spread).all():
        raise ModelError("the network returned numbers that are not finite")
    percent = (100 / spread).round_()
    return classes.to(torch.uint8), percent.to(torch.uint8)
