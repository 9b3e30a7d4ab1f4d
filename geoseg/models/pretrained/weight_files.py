"""Pretrained weights in files: found on this machine, checked, read without running code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg import files
from geoseg.errors import ConfigError, ModelError
from geoseg.models.pretrained.weights import Weights

if TYPE_CHECKING:
    from torch import Tensor

type State = dict[str, Tensor]

HASH = re.compile(r"-([0-9a-f]{8,64})\.")
"""torch.hub's convention: a file name ends with the first digits of the file's sha256."""
NESTED = ("state_dict", "model", "model_state", "teacher")
"""Keys under which checkpoints nest their weights."""


def cache() -> Path:
    """The folder where torch, and with it torchgeo, keeps files of weights."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def find(weights: Weights, folder: Path | None) -> Path:
    """Find the file of weights on this machine; works offline.

    Args:
        weights: entry of torchgeo's list.
        folder: folder to search before torch's cache.

    Raises:
        ConfigError: the file is not there.
        ModelError: the file is damaged.
    """
    places = [place for place in (folder, cache()) if place]
    for place in places:
        if (place / weights.file).is_file():
            check(place / weights.file)
            return place / weights.file
    raise ConfigError(
        "the weights are not on this machine",
        where=weights.name,
        got=f"no {weights.file} in {' or '.join(map(str, places))}",
        fix=f"geoseg models fetch {weights.name} --to {folder or 'DIR'}",
    )


def check(path: Path, name: str = "") -> None:
    """Compare a file with the hash in its name, if there is one.

    Args:
        path: file to check.
        name: its final name, while it is still a temporary file.

    Raises:
        ModelError: the hash differs.
    """
    wanted = HASH.search(name or path.name)
    if wanted and not (got := files.sha256(path)).startswith(wanted[1]):
        raise ModelError(
            "does not match the hash in its name",
            where=path,
            got=f"sha256 {got[:12]}",
            wanted=f"{wanted[1]}...",
            fix="fetch or copy it again",
        )


def read(path: Path) -> State:
    """Read the tensors of a .pth, .pt, .ckpt or .safetensors file, by name.

    Torch's own files are read with ``weights_only``, which builds tensors and plain values only.

    Raises:
        ModelError: the file is damaged, carries code, or holds no weights.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            content: Any = load_file(path)
        else:
            content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError) as error:
        raise ModelError("cannot be read as weights", where=path, got=error) from error
    except Exception as error:  # torch raises pickle's own error for what is not plain
        raise ModelError(
            "holds more than weights, and was not opened",
            where=path,
            got=str(error).splitlines()[0][:200],
            fix="if you trust it, save its state_dict() as .safetensors",
        ) from error
    return _tensors(content, path)


def _tensors(content: Any, path: Path) -> State:
    import torch

    for key in NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    found = {
        str(name): value
        for name, value in (content.items() if isinstance(content, Mapping) else ())
        if isinstance(value, torch.Tensor)
    }
    if not found:
        raise ModelError("holds no weights", where=path, got=type(content).__name__)
    broken = [name for name, value in found.items() if not torch.isfinite(value).all()]
    if broken:
        raise ModelError("has weights that are not finite", where=path, got=broken[0])
    return found
