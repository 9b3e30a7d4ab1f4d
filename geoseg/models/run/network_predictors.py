"""Networks as predictors: scaled, run, averaged, decided."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

import numpy as np
import torch

from geoseg.classes import ClassScheme
from geoseg.grid import Window
from geoseg.models.networks import dropout
from geoseg.models.run import engines
from geoseg.models.run.decide import decide, layers
from geoseg.models.run.inference_settings import Recipe
from geoseg.models.run.predictor import Layers
from geoseg.models.run.symmetries import restore, symmetries, view
from geoseg.models.saved.spec import ModelSpec
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geoseg.models.pixelwise import PixelPredictor
    from geoseg.models.run.engines import Forward

NO_MEMORY = ("DefaultCPUAllocator", "bad_alloc", "Failed to allocate")
"""What torch, OpenVINO and ONNX Runtime say in errors that have no type of their own for it."""


class LogitsPredictor:
    """A network that is ready to run as a predictor.

    Args:
        forward: maps (1, bands, height, width) to (1, classes, height, width) logits.
        spec: how pixels are scaled, and the stride and halo.
        recipe: what is averaged, what is written.
        device: where the network takes its images.
    """

    def __init__(
        self, forward: Forward, spec: ModelSpec, recipe: Recipe, device: torch.device
    ) -> None:
        self.spec, self.recipe = spec, recipe
        self._forward, self._device = forward, device

    @property
    def stride(self) -> int:
        """The network's total downsampling."""
        return self.spec.stride

    @property
    def halo(self) -> int:
        """Pixels of context."""
        return self.spec.halo

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self.spec.scheme

    @property
    def fingerprint(self) -> str:
        """Weights, temperature and recipe."""
        spec = self.spec
        return f"{spec.weights_sha256} {spec.temperature} {self.recipe.model_dump_json()}"

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """The layers of the recipe, for the core.

        Raises:
            MemoryError: the window does not fit the memory that is left.
            ModelError: the network returns numbers that are not finite.
        """
        if not self.recipe.plain:
            found = layers(self.probabilities(pixels, valid)[:, *core.slices], self.recipe)
            return found.cpu().numpy()
        with _memory_errors():
            logits = self._forward(self._images(pixels, valid))[0]
            return decide(logits[:, *core.slices], self.spec.temperature).cpu().numpy()

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """(classes, height, width) float32, averaged over views and passes.

        Raises:
            MemoryError: the window does not fit the memory that is left.
        """
        with _memory_errors():
            return self._averaged(pixels, valid)

    def _averaged(self, pixels: Pixels, valid: Mask) -> Tensor:
        images = self._images(pixels, valid)
        total, count = None, 0
        if self.recipe.passes:
            dropout.seed(zlib.crc32(images.cpu().numpy()))
        for turns, mirrored in symmetries(self.recipe.views):
            for _ in range(max(1, self.recipe.passes)):
                logits = self._forward(view(images, turns, mirrored)) / self.spec.temperature
                found = restore(logits.softmax(dim=1), turns, mirrored)[0]
                total, count = found if total is None else total.add_(found), count + 1
        assert total is not None, "there is always one view"
        return total / count

    def _images(self, pixels: Pixels, valid: Mask) -> Tensor:
        images = scale(pixels[None], valid[None], self.spec.mean, self.spec.std)
        if self._device.type == "cuda":
            images = images.pin_memory()
        return images.to(self._device, non_blocking=True)


class NetworkPredictor(LogitsPredictor):
    """A torch network as a predictor.

    Args:
        network: maps (1, bands, height, width) to (1, classes, height, width) logits.
        spec: how pixels are scaled, and the stride and halo.
        recipe: the engine, what is averaged, what is written.
        device: where it runs; the GPU where there is one.
        slots: how many windows will be under way at once.

    Raises:
        ModelError: the engine cannot run the network.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        recipe: Recipe | None = None,
        *,
        device: str | None = None,
        slots: int = 1,
    ) -> None:
        recipe = recipe or Recipe()
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = network.eval()
        if recipe.passes:
            network = dropout.keep_on(network)
        forward = engines.build(network, len(spec.bands), recipe.engine, where, slots)
        super().__init__(forward, spec, recipe, where)


@dataclass(frozen=True)
class Ensemble:
    """Several models whose probabilities are averaged.

    Attributes:
        members: of the same classes and bands, each with its own scaling.
        recipe: what is written.
    """

    members: Sequence[LogitsPredictor | PixelPredictor]
    recipe: Recipe

    @property
    def stride(self) -> int:
        """A stride that all members share."""
        return lcm(*(member.stride for member in self.members))

    @property
    def halo(self) -> int:
        """What the member with the widest view wants."""
        return max(member.halo for member in self.members)

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self.members[0].scheme

    @property
    def fingerprint(self) -> str:
        """Of all members, in order."""
        return " ".join(member.fingerprint for member in self.members)

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """The layers of the recipe, for the core."""
        return layers(self.probabilities(pixels, valid)[:, *core.slices], self.recipe).cpu().numpy()

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """(classes, height, width) float32, averaged over the members in order."""
        first, *others = (member.probabilities(pixels, valid) for member in self.members)
        for other in others:
            first += other
        return first / len(self.members)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """One kind of error when memory runs out, whatever ran the network."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            each in str(error) for each in NO_MEMORY
        ):
            raise
        raise MemoryError(f"a window does not fit the memory: {error}") from error


def scale(pixels: Pixels, valid: Mask, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """Network input: (pixel - mean) / std as float32, and 0 (the mean) where not valid.

    Args:
        pixels: (images, bands, height, width).
        valid: (images, height, width).
        mean: by band.
        std: by band; a constant band has 0 and is only centred.
    """
    scaled = np.empty(pixels.shape, dtype=np.float32)
    for band, (shift, spread) in enumerate(zip(mean, std, strict=True)):
        into = scaled[:, band]
        np.subtract(pixels[:, band], np.float32(shift), out=into, dtype=np.float32)
        into *= np.float32(1 / spread if spread > 0 else 1)
    if not valid.all():
        np.copyto(scaled, 0.0, where=~valid[:, None])
    return torch.from_numpy(scaled)
