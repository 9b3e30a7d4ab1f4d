"""ONNX files as other programs write them, with an answer worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
helper, Kind = onnx.helper, onnx.TensorProto
WEIGHTS = np.array([[4, -2, 1], [-3, 5, 0], [1, 1, -2]], np.float32)
BIAS = np.array([0.1, -0.4, 0.6], np.float32)
SAID = {
    "model_type": "Segmentor",
    "class_names": {"0": "_background", "1": "field", "2": "wood"},
    "resolution": 50,
    "tiles_overlap": 25,
    "standardization_mean": [0.4, 0.5, 0.6],
    "standardization_std": [0.2, 0.25, 0.5],
}
"""As on Deepness's page "Adding metadata to ONNX model"."""


def network(
    path: Path,
    said: dict[str, Any] = SAID,
    *,
    side: int | None = 64,
    last: tuple[str, ...] = ("Softmax",),
    outputs: int = 3,
) -> Path:
    """A file with one convolution of 1 x 1 pixels, whose answer can be worked out by hand."""
    weights = [
        onnx.numpy_helper.from_array(WEIGHTS[:outputs, :, None, None], "weight"),
        onnx.numpy_helper.from_array(BIAS[:outputs], "bias"),
    ]
    names = ["conv", *(f"step{number}" for number in range(1, len(last) + 1))]
    nodes = [helper.make_node("Conv", ["input", "weight", "bias"], ["conv"])]
    for number, operator in enumerate(last):
        settings = {"axis": 1} if operator == "Softmax" else {}
        nodes.append(helper.make_node(operator, [names[number]], [names[number + 1]], **settings))
    sides = [side, side] if side else ["h", "w"]
    body = helper.make_graph(
        nodes, "body",
        [helper.make_tensor_value_info("input", Kind.FLOAT, [1, 3, *sides])],
        [helper.make_tensor_value_info(names[-1], Kind.FLOAT, [1, outputs, *sides])],
        weights,
    )  # fmt: skip
    return save(path, body, said)


def save(path: Path, body: Any, said: dict[str, Any] = SAID, **more: Any) -> Path:
    settings = {"opset_imports": [helper.make_opsetid("", 17)], "ir_version": 8, **more}
    model = helper.make_model(body, **settings)
    for key, value in said.items():
        model.metadata_props.add(key=key, value=json.dumps(value))
    path.write_bytes(model.SerializeToString())
    return path
