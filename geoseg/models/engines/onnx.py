"""ONNX Runtime: the fastest on CPUs without bfloat16 instructions."""

from __future__ import annotations

import io
import warnings
from typing import TYPE_CHECKING

import onnxruntime
import torch
from onnxruntime.capi.onnxruntime_pybind11_state import Fail

from geoseg.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geoseg.models.engines import Forward

EXAMPLE = 256
OPSET = 17


def build(network: nn.Module, bands: int) -> Forward:
    """The network as an ONNX Runtime session; every call runs on its caller's thread.

    Raises:
        ModelError: torch cannot export the network, or the runtime cannot run it.
    """
    example = torch.zeros(1, bands, EXAMPLE, EXAMPLE)
    stream = io.BytesIO()
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.log_severity_level = 3
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, (example,), stream,  # type: ignore[arg-type]  # a stream is fine with the exporter of old
                input_names=["image"], output_names=["logits"], opset_version=OPSET,
                dynamic_axes={"image": {2: "height", 3: "width"}}, dynamo=False,
            )  # fmt: skip
        session = onnxruntime.InferenceSession(
            stream.getvalue(), options, providers=["CPUExecutionProvider"]
        )
    except (RuntimeError, NotImplementedError, Fail) as error:
        raise ModelError(
            "ONNX Runtime cannot run this network", got=str(error)[:200], fix="--engine torch"
        ) from error

    def forward(images: Tensor) -> Tensor:
        return torch.from_numpy(session.run(None, {"image": images.contiguous().numpy()})[0])

    return forward
