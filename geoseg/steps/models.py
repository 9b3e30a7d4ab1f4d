"""Pretrained weights and models on this machine: list, fetch, show."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import ConfigError

if TYPE_CHECKING:
    from geoseg.models.weights import Weights


def list_models(words: Sequence[str] = (), *, unusable: bool = False) -> list[Weights]:
    """List the pretrained weights that torchgeo offers; no connection is opened.

    Args:
        words: parts of names, sensors or backbones that all have to be there; case does not count.
        unusable: whether those are listed too that fit none of geoseg's networks.

    Returns:
        Whole models first, then backbones, by name.
    """
    from geoseg.models.weights import everything

    order = ("model", "backbone", "none")
    found = [
        each
        for each in everything().values()
        if (unusable or each.use != "none")
        and all(word.lower() in _text(each).lower() for word in words)
    ]
    return sorted(found, key=lambda each: (order.index(each.use), each.name))


def fetch_model(name: str, to: str | Path | None = None) -> Path:
    """Bring pretrained weights onto this machine, before a run needs them.

    Args:
        name: such as ResNet50_Weights.SENTINEL2_ALL_MOCO.
        to: the folder to write to; torch's cache when not given.

    Returns:
        The file of weights; or for a whole model the model directory that `predict` takes.

    Raises:
        ConfigError: there are no weights of that name, or not at that address any more.
        RetryError: the network failed.
    """
    from geoseg.models import checkpoint, weights
    from geoseg.models.fetch import fetch

    found = weights.named(name)
    if found.use == "none":
        raise ConfigError(
            "fit none of the networks that map pixels here", where=name, fix="geoseg models list"
        )
    return fetch(found, Path(to) if to else checkpoint.cache())


def show_model(name: str | Path) -> dict[str, Any]:
    """Say what weights of torchgeo's list or a model directory were made for.

    Args:
        name: of weights, or a model directory.

    Returns:
        The spec of a model; of a directory of folds their scores, and the spec of each by name.

    Raises:
        ConfigError: there are no weights of that name.
        ModelError: the folder is no model.
    """
    from dataclasses import asdict

    from geoseg.models import checkpoint, weights

    if Path(name).exists() or not weights.is_name(str(name)):
        return _shown(Path(name))
    found = weights.named(str(name))
    file = checkpoint.cache() / found.file
    size = file.stat().st_size if file.is_file() else None
    return {**asdict(found), "architectures": found.architectures, "bytes": size}


def table(found: Sequence[Weights]) -> str:
    """Weights as lines: name, what for, backbone, bands, sensor, pixel size, licence."""
    rows: list[tuple[str, ...]] = [
        (
            each.name, each.use, each.backbone, str(len(each.bands) or "any"), each.sensor or "-",
            f"{each.gsd_m:g} m" if each.gsd_m else "-", each.licence or "not stated",
        )
        for each in found
    ]  # fmt: skip
    rows.insert(0, ("name", "use", "backbone", "bands", "sensor", "pixel", "licence"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _shown(folder: Path) -> dict[str, Any]:
    from geoseg.models.folds import members, read_folds
    from geoseg.models.spec import read_spec

    specs = {
        model.name: read_spec(model).model_dump(mode="json", exclude_none=True)
        for model in members(folder)
    }
    if members(folder) == [folder]:
        return specs[folder.name]
    scores = read_folds(folder)
    return {**(scores.model_dump() if scores else {}), "folds": specs}


def _text(each: Weights) -> str:
    return " ".join((each.name, each.use, each.backbone, each.sensor, each.licence))
