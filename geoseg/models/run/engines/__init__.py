"""What runs a network: torch itself, ONNX Runtime or OpenVINO, behind one function."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from geoseg.errors import ConfigError
from geoseg.models.run.inference_settings import Engine

if TYPE_CHECKING:
    import torch
    from torch import Tensor, nn

type Forward = Callable[[Tensor], Tensor]
"""(images, bands, height, width) float32 to (images, classes, height, width) float32 logits."""

PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}


def installed(engine: Engine) -> bool:
    """Whether the engine's package is there."""
    return find_spec(PACKAGES[engine.name]) is not None


def build(
    network: nn.Module, bands: int, engine: Engine, device: torch.device, slots: int
) -> Forward:
    """Make a network ready to run on an engine.

    Every call works on one thread of the CPU, so that the bytes of a map do not depend on how
    many there are; several calls may be under way at once.

    Args:
        network: the network; it may be changed in place.
        bands: its input channels.
        engine: what to run it on.
        device: where; only torch knows other devices than the CPU.
        slots: how many calls will be under way at once.

    Raises:
        ConfigError: the engine is not installed.
        ModelError: the engine cannot run this network.
    """
    _require(engine)
    network = network.eval()
    if engine.name == "openvino":
        from geoseg.models.run.engines import openvino_runtime

        return openvino_runtime.build(network, bands, engine, slots)
    if engine.name == "onnx":
        from geoseg.models.run.engines import onnx_runtime

        return onnx_runtime.build(network, bands)
    from geoseg.models.run.engines import torch_eager

    return torch_eager.build(network, bands, engine, device)


def read(graph: bytes, shape: tuple[int, int, int, int], engine: Engine, slots: int) -> Forward:
    """Make the network of an ONNX file ready to run on the CPU; as `build`.

    Args:
        graph: the file, all of it.
        shape: of the images; -1 where any number will do.
        engine: ONNX Runtime or OpenVINO.
        slots: how many calls will be under way at once.

    Raises:
        ConfigError: the engine is not installed.
        ModelError: the engine cannot run this network.
    """
    _require(engine)
    if engine.name == "openvino":
        from geoseg.models.run.engines import openvino_runtime

        return openvino_runtime.read(graph, shape, engine, slots)
    from geoseg.models.run.engines import onnx_runtime

    return onnx_runtime.read(graph)


def _require(engine: Engine) -> None:
    if not installed(engine):
        raise ConfigError(
            "is not installed", where=f"--engine {engine.name}",
            fix=f"pip install 'geoseg[{engine.name}]', or leave out --engine",
        )  # fmt: skip
