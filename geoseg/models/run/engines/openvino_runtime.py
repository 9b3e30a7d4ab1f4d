"""OpenVINO, the fastest engine on CPUs with bfloat16 instructions."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

import openvino as ov
import torch

from geoseg.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geoseg.models.run.engines.forward import Forward
    from geoseg.models.run.inference_settings import Engine

EXAMPLE = 256
"""Side in pixels of the image that the network is traced with."""


def build(network: nn.Module, bands: int, engine: Engine, slots: int) -> Forward:
    """Compile a network: one stream of one thread per slot.

    Raises:
        ModelError: OpenVINO cannot convert the network.
    """
    example = torch.zeros(1, bands, EXAMPLE, EXAMPLE)
    logging.getLogger("nncf").setLevel(logging.ERROR)
    with _model_errors(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model = ov.convert_model(network, example_input=example)
    return _compiled(model, (1, bands, -1, -1), engine, slots)


def read(graph: bytes, shape: tuple[int, int, int, int], engine: Engine, slots: int) -> Forward:
    """Compile the network of an ONNX file, like `build`.

    Raises:
        ModelError: OpenVINO cannot convert the network.
    """
    with _model_errors():
        model = _core().read_model(graph)
    return _compiled(model, shape, engine, slots)


def _compiled(
    model: ov.Model, shape: tuple[int, int, int, int], engine: Engine, slots: int
) -> Forward:
    with _model_errors():
        model.reshape(list(shape))
        compiled = _core().compile_model(
            model,
            "CPU",
            {
                "INFERENCE_PRECISION_HINT": "bf16" if engine.precision == "bf16" else "f32",
                "INFERENCE_NUM_THREADS": slots,
                "NUM_STREAMS": slots,
                "ENABLE_CPU_PINNING": False,
            },
        )
    requests = threading.local()

    def forward(images: Tensor) -> Tensor:
        if not hasattr(requests, "own"):
            requests.own = compiled.create_infer_request()
        answer = requests.own.infer([images.contiguous().numpy()], share_outputs=True)
        return torch.from_numpy(answer[0])

    return forward


@contextmanager
def _model_errors() -> Iterator[None]:
    try:
        yield
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(
            "OpenVINO cannot run this network", got=str(error)[:200], fix="--engine torch"
        ) from error


@cache
def _core() -> ov.Core:
    """Make one core for the life of the process.

    On Linux each core gives its thread an alternate signal stack and restores the previous one
    when it is destroyed. Destroyed in another order, several cores leave a stack in unmapped
    memory, and the next signal overwrites whatever lies there by then.
    """
    return ov.Core()
