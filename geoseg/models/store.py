"""A model directory: safetensors and JSON, tied together by a hash, free of pickle."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg import files
from geoseg.errors import ModelError
from geoseg.models.networks import build
from geoseg.models.spec import SPEC, ModelSpec, read_spec

if TYPE_CHECKING:
    from torch import nn

WEIGHTS = "model.safetensors"


def save_model(folder: Path, network: nn.Module, spec: ModelSpec) -> ModelSpec:
    """Write weights and spec; the spec, written last, carries the hash of the weights."""
    from safetensors.torch import save_file

    tensors = {name: value.contiguous().cpu() for name, value in network.state_dict().items()}
    with files.whole(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary)
    spec = spec.model_copy(update={"weights_sha256": files.sha256(folder / WEIGHTS)})
    files.write_bytes(folder / SPEC, spec.model_dump_json(indent=2).encode())
    return spec


def load_network(folder: Path) -> tuple[nn.Module, ModelSpec]:
    """The network of a model directory, and its spec.

    Raises:
        ModelError: the weights are damaged, or are not those of the spec.
    """
    import torch
    from safetensors.torch import load

    spec = read_spec(folder)
    data = (folder / WEIGHTS).read_bytes() if (folder / WEIGHTS).is_file() else b""
    digest = hashlib.sha256(data).hexdigest()
    if digest != spec.weights_sha256:
        raise ModelError(
            "the weights are not those the spec was written for",
            where=folder / WEIGHTS,
            got=f"sha256 {digest[:12]}",
            wanted=spec.weights_sha256[:12],
            fix="copy the model again",
        )
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
