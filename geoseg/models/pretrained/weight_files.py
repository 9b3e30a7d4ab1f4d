"""Files of weights that others made: found on this machine, checked, read without pickle."""

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
"""torch's convention: the name of a file ends with the beginning of its sha256."""
NESTED = ("state_dict", "model", "model_state", "teacher")
"""Under which keys of a checkpoint the weights may lie."""


def cache() -> Path:
    """Where torch, and with it torchgeo, keeps files of weights."""
    import torch

    return Path(torch.hub.get_dir()) / "checkpoints"


def find(weights: Weights, folder: Path | None) -> Path:
    """The file of weights on this machine; never from the net.

    Args:
        weights: which.
        folder: where to look first; then in torch's cache.

    Raises:
        ConfigError: it is nowhere.
        ModelError: it is damaged.
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
        path: the file.
        name: its name, where it does not have it yet.

    Raises:
        ModelError: it has other bytes.
    """
    wanted = HASH.search(name or path.name)
    if wanted and not (got := files.sha256(path)).startswith(wanted[1]):
        raise ModelError(
            "is not the file it should be",
            where=path,
            got=f"sha256 {got[:12]}",
            wanted=f"{wanted[1]}...",
            fix="fetch or copy it again",
        )


def read(path: Path) -> State:
    """The tensors of a .pth, .pt, .ckpt or .safetensors file, by name.

    Torch's own files are read in the mode that builds tensors and plain values only.

    Raises:
        ModelError: the file is damaged, carries code, or holds no weights.
    """
    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, ValueError, RuntimeError, EOFError, SafetensorError) as error:
        raise ModelError("cannot be read as weights", where=path, got=error) from error
    except Exception as error:  # torch raises pickle's own error for what is not plain
        raise ModelError(
            "carries more than weights, and is not opened",
            where=path,
            got=str(error).splitlines()[0][:200],
            fix="save its state_dict() as .safetensors where you trust it",
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
