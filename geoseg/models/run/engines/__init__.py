"""Run networks with torch, ONNX Runtime or OpenVINO, behind one function."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

from geoseg.errors import ConfigError
from geoseg.models.run.engines.forward import Forward
from geoseg.models.run.inference_settings import Engine

if TYPE_CHECKING:
    import torch
    from torch import nn

PACKAGES = {"torch": "torch", "onnx": "onnxruntime", "openvino": "openvino"}


def installed(engine: Engine) -> bool:
    """Whether the engine's package is installed."""
    return find_spec(PACKAGES[engine.name]) is not None


def build(
    network: nn.Module, bands: int, engine: Engine, device: torch.device, slots: int
) -> Forward:
    """Make a network ready to run on an engine.

    Every call uses one thread of the CPU, so that the bytes of a map do not depend on the number
    of threads; several calls may run at once.

    Args:
        network: maps (images, bands, height, width) to logits; it may be changed in place.
        bands: number of input channels.
        engine: what runs it.
        device: where; only torch knows other devices than the CPU.
        slots: number of calls that will run at once.

    Raises:
        ConfigError: the engine is not installed.
        ModelError: the engine cannot run this network.
    """
    _require(engine)
    network = network.eval()
    # engines are imported late: onnxruntime and openvino are extras, and slow to load
    if engine.name == "openvino":
        from geoseg.models.run.engines import openvino_runtime

        return openvino_runtime.build(network, bands, engine, slots)
    if engine.name == "onnx":
        from geoseg.models.run.engines import onnx_runtime

        return onnx_runtime.build(network, bands)
    from geoseg.models.run.engines import torch_eager

    return torch_eager.build(network, bands, engine, device)


def read(graph: bytes, shape: tuple[int, int, int, int], engine: Engine, slots: int) -> Forward:
    """Make the network of an ONNX file ready to run on the CPU; see `build`.

    Args:
        graph: the whole file.
        shape: (images, bands, height, width); -1 where any number will do.
        engine: ONNX Runtime or OpenVINO.
        slots: number of calls that will run at once.

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
