"""A model directory: safetensors and JSON, tied together by a hash, without pickle."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoseg import files
from geoseg.errors import ModelError
from geoseg.layout import MODEL_SPEC, WEIGHTS
from geoseg.models.networks.build import build
from geoseg.models.saved.spec import ModelSpec, read_spec

if TYPE_CHECKING:
    from torch import nn


def save_model(folder: Path, network: nn.Module, spec: ModelSpec) -> ModelSpec:
    """Write weights and spec of a network.

    Returns:
        The spec with the hash of the weights. It is written last: without it there is no model.
    """
    from safetensors.torch import save_file

    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    with files.whole(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    return save_spec(folder, spec)


def save_arrays(folder: Path, arrays: Mapping[str, NDArray[Any]], spec: ModelSpec) -> ModelSpec:
    """Write the arrays of a forest or an SVM, and its spec; see `save_model`."""
    from safetensors.numpy import save_file

    with files.whole(folder / WEIGHTS) as temporary:
        save_file({name: np.ascontiguousarray(each) for name, each in arrays.items()}, temporary)
    return save_spec(folder, spec)


def save_spec(folder: Path, spec: ModelSpec) -> ModelSpec:
    """Write a spec with the hash of the weights beside it; a threshold has none."""
    weights = folder / WEIGHTS
    digest = files.sha256(weights) if weights.is_file() else ""
    spec = spec.model_copy(update={"weights_sha256": digest})
    files.write_bytes(folder / MODEL_SPEC, spec.model_dump_json(indent=2).encode())
    return spec


def load_network(folder: Path) -> tuple[nn.Module, ModelSpec]:
    """Load the network of a model directory, and its spec.

    Raises:
        ModelError: the folder is not a model directory, its weights are damaged, or they do not
            belong to the spec.
    """
    import torch
    from safetensors.torch import load

    spec = read_spec(folder)
    data = _bytes(folder, spec)
    network = build(spec.architecture, spec.backbone, len(spec.bands), len(spec.scheme.classes))
    weights = load(data)
    broken = [name for name, value in weights.items() if not torch.isfinite(value).all()]
    if broken:
        raise ModelError("has weights that are not finite", where=folder, got=broken[0])
    try:
        network.load_state_dict(weights)
    except RuntimeError as error:
        raise ModelError("the weights do not fit", where=folder, got=error) from error
    return network, spec


def read_arrays(folder: Path, spec: ModelSpec) -> dict[str, NDArray[Any]]:
    """Read the arrays of a forest or an SVM.

    Raises:
        ModelError: the weights are damaged, or do not belong to the spec.
    """
    from safetensors.numpy import load

    found: dict[str, NDArray[Any]] = load(_bytes(folder, spec))
    broken = [name for name, each in found.items() if not np.isfinite(each).all()]
    if broken:
        raise ModelError("has weights that are not finite", where=folder, got=broken[0])
    return found


def _bytes(folder: Path, spec: ModelSpec) -> bytes:
    # read once, so that the bytes that are checked are the bytes that are loaded
    data = (folder / WEIGHTS).read_bytes() if (folder / WEIGHTS).is_file() else b""
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.weights_sha256:
        raise ModelError(
            "the weights do not belong to the spec",
            where=folder / WEIGHTS,
            got=f"sha256 {digest[:12]}",
            wanted=spec.weights_sha256[:12],
            fix="copy the model again",
        )
    return data
