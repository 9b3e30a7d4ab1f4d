"""ONNX Runtime, the fastest engine on CPUs without bfloat16 instructions."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING

import onnxruntime
import torch
from onnxruntime.capi import onnxruntime_pybind11_state as problems

from geoseg.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geoseg.models.run.engines.forward import Forward

EXAMPLE = 256
"""Side in pixels of the image that the network is traced with."""
OPSET = 17
"""Read by ONNX Runtime 1.12 and later."""
SIZES = {2: "height", 3: "width"}
FAILURES = (
    RuntimeError, NotImplementedError, problems.Fail, problems.InvalidArgument,
    problems.InvalidGraph, problems.InvalidProtobuf, problems.NotImplemented,
    problems.RuntimeException,
)  # fmt: skip


def build(network: nn.Module, bands: int) -> Forward:
    """Make an ONNX Runtime session of a network; every call runs on its caller's thread.

    Raises:
        ModelError: torch cannot export the network, or the runtime cannot run it.
    """
    return read(graph(network, torch.zeros(1, bands, EXAMPLE, EXAMPLE)))


def graph(network: nn.Module, example: Tensor, names: Mapping[int, str] = SIZES) -> bytes:
    """Export a network as an ONNX file with the input "image" and the output "answer".

    Args:
        network: maps (images, bands, height, width) to (images, classes, height, width).
        example: images of a size that the network takes.
        names: names of the dimensions that may have any size, by number.

    Raises:
        ModelError: torch cannot export the network.
    """
    stream = io.BytesIO()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # dynamo=False, as the newer exporter takes ten times as long
            torch.onnx.export(
                network, (example,), stream,  # type: ignore[arg-type]  # a stream is fine with the exporter of old
                input_names=["image"], output_names=["answer"], opset_version=OPSET,
                dynamic_axes={"image": dict(names)}, dynamo=False,
            )  # fmt: skip
    except FAILURES as error:
        raise _cannot(error) from error
    return stream.getvalue()


def read(data: bytes) -> Forward:
    """Make a session of an ONNX file; every call runs on its caller's thread.

    Raises:
        ModelError: the runtime cannot run it.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except FAILURES as error:
        raise _cannot(error) from error
    (image,) = session.get_inputs()

    def forward(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {image.name: images.contiguous().numpy()})[0])

    return forward


def _cannot(error: Exception) -> ModelError:
    return ModelError(
        "ONNX Runtime cannot run this network", got=str(error)[:200], fix="--engine torch"
    )
