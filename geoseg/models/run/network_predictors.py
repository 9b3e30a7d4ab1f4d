"""Networks as predictors: scale pixels, run the network, average, decide."""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import lcm
from typing import TYPE_CHECKING

import torch

from geoseg.classes import ClassScheme
from geoseg.grid import Window
from geoseg.models.input_scaling import scaled
from geoseg.models.networks import dropout
from geoseg.models.run import engines
from geoseg.models.run.decide import decide, layers
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.predictor import Layers, ProbabilityPredictor
from geoseg.models.run.symmetries import restore, symmetries, view
from geoseg.models.saved.spec import ModelSpec
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geoseg.models.run.engines.forward import Forward

NO_MEMORY = ("DefaultCPUAllocator", "bad_alloc", "Failed to allocate")
"""Texts by which torch, OpenVINO and ONNX Runtime report that memory ran out; only torch on GPUs
has a type for it."""


class LogitsPredictor:
    """A network that is ready to run, as a predictor.

    Args:
        forward: maps (1, bands, height, width) to (1, classes, height, width) logits.
        spec: scaling of the bands, temperature, stride and halo.
        settings: averaging and output layers.
        device: device of the images that ``forward`` takes.
    """

    def __init__(
        self, forward: Forward, spec: ModelSpec, settings: InferenceSettings, device: torch.device
    ) -> None:
        self.spec, self.settings = spec, settings
        self._forward, self._device = forward, device

    @property
    def stride(self) -> int:
        """The network's total downsampling."""
        return self.spec.stride

    @property
    def halo(self) -> int:
        """Pixels of context around the core of a window."""
        return self.spec.halo

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self.spec.scheme

    @property
    def fingerprint(self) -> str:
        """Weights, temperature and settings."""
        spec = self.spec
        return f"{spec.weights_sha256} {spec.temperature} {self.settings.model_dump_json()}"

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """Predict the layers of the settings for the core of a window.

        Raises:
            MemoryError: the window does not fit into memory.
            ModelError: the network returns numbers that are not finite.
        """
        if not self.settings.plain:
            found = layers(self.probabilities(pixels, valid)[:, *core.slices], self.settings)
            return found.cpu().numpy()
        with _memory_errors():
            logits = self._forward(self._images(pixels, valid))[0]
            return decide(logits[:, *core.slices], self.spec.temperature).cpu().numpy()

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """Average the probabilities over views and passes, (classes, height, width) float32.

        Raises:
            MemoryError: the window does not fit into memory.
        """
        with _memory_errors():
            return self._averaged(pixels, valid)

    def _averaged(self, pixels: Pixels, valid: Mask) -> Tensor:
        images = self._images(pixels, valid)
        total, count = None, 0
        if self.settings.passes:
            # seeded by the pixels: the same window gets the same masks on whatever worker
            dropout.seed(zlib.crc32(images.cpu().numpy()))
        for turns, mirrored in symmetries(self.settings.views):
            for _ in range(max(1, self.settings.passes)):
                logits = self._forward(view(images, turns, mirrored)) / self.spec.temperature
                found = restore(logits.softmax(dim=1), turns, mirrored)[0]
                total, count = found if total is None else total.add_(found), count + 1
        assert total is not None, "there is always one view"
        return total / count

    def _images(self, pixels: Pixels, valid: Mask) -> Tensor:
        # torch has no byte-swapped dtypes, and arrays from netCDF 3 are big-endian
        native = pixels.astype(pixels.dtype.newbyteorder("="), copy=False)
        images = scaled(
            torch.tensor(native[None]), torch.tensor(valid[None]), self.spec.mean, self.spec.std
        )
        if self._device.type == "cuda":
            images = images.pin_memory()
        return images.to(self._device, non_blocking=True)


class NetworkPredictor(LogitsPredictor):
    """A torch network as a predictor.

    Args:
        network: maps (1, bands, height, width) to (1, classes, height, width) logits; it may be
            changed in place.
        spec: scaling of the bands, temperature, stride and halo.
        settings: engine, averaging and output layers.
        device: torch device; None for the GPU where there is one.
        slots: number of windows that will be predicted at once.

    Raises:
        ConfigError: the engine is not installed.
        ModelError: the engine cannot run the network, or passes were asked of one without dropout.
    """

    def __init__(
        self,
        network: nn.Module,
        spec: ModelSpec,
        settings: InferenceSettings | None = None,
        *,
        device: str | None = None,
        slots: int = 1,
    ) -> None:
        settings = settings or InferenceSettings()
        where = torch.device(device or ("cuda" if torch.cuda.is_available() else "cpu"))
        network = network.eval()
        if settings.passes:
            network = dropout.keep_on(network)
        forward = engines.build(network, len(spec.bands), settings.engine, where, slots)
        super().__init__(forward, spec, settings, where)


@dataclass(frozen=True)
class Ensemble:
    """Several models whose probabilities are averaged.

    Attributes:
        members: models with the same classes and bands, each with its own scaling.
        settings: output layers.
    """

    members: Sequence[ProbabilityPredictor]
    settings: InferenceSettings

    @property
    def stride(self) -> int:
        """The least common multiple of the members' strides."""
        return lcm(*(member.stride for member in self.members))

    @property
    def halo(self) -> int:
        """The largest halo of the members."""
        return max(member.halo for member in self.members)

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self.members[0].scheme

    @property
    def fingerprint(self) -> str:
        """Those of all members, in order."""
        return " ".join(member.fingerprint for member in self.members)

    @torch.inference_mode()
    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """Predict the layers of the settings for the core of a window."""
        return (
            layers(self.probabilities(pixels, valid)[:, *core.slices], self.settings).cpu().numpy()
        )

    @torch.inference_mode()
    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """Average the members' probabilities, (classes, height, width) float32."""
        # always in this order: floating-point sums depend on it
        first, *others = (member.probabilities(pixels, valid) for member in self.members)
        for other in others:
            first += other
        return first / len(self.members)


@contextmanager
def _memory_errors() -> Iterator[None]:
    """Raise MemoryError when memory runs out, whatever the engine."""
    try:
        yield
    except RuntimeError as error:
        if not isinstance(error, torch.OutOfMemoryError) and not any(
            each in str(error) for each in NO_MEMORY
        ):
            raise
        raise MemoryError(f"a window does not fit into memory: {error}") from error
