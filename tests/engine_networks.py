"""Engines to compare, and a memory that wide windows exhaust."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import pytest
import torch

import geoseg
from geoseg.models.run import engines
from geoseg.models.run.inference_settings import Engine

B3 = ("b1", "b2", "b3")
FP32 = Engine()
BF16 = Engine(precision="bf16")
ONNX = Engine(name="onnx")
OPENVINO = Engine(name="openvino")
OPENVINO_BF16 = Engine(name="openvino", precision="bf16")
TORCH_ONLY = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


def limited(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """Let windows wider than this exhaust the memory."""
    honest = engines.build

    def build(*arguments: Any) -> Any:
        forward = honest(*arguments)

        def limited_forward(images: torch.Tensor) -> torch.Tensor:
            if images.shape[-1] > side:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(images)

        return limited_forward

    monkeypatch.setattr(engines, "build", build)
