"""Pretrained weights and models: list, fetch, show and export them."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg.errors import ConfigError, ModelError
from geoseg.steps.models.options import ExportOptions

if TYPE_CHECKING:
    from geoseg.models.pretrained.weights import Weights

__all__ = ["ExportOptions", "export_model", "fetch_model", "list_models", "show_model"]

logger = logging.getLogger(__name__)


def list_models(words: Sequence[str] = (), *, unusable: bool = False) -> list[Weights]:
    """List torchgeo's pretrained weights; works offline.

    Args:
        words: texts that must all occur in a name, sensor, backbone or licence, in any case.
        unusable: list also weights that fit none of geoseg's networks.

    Returns:
        Whole models first, then backbones, by name.
    """
    from geoseg.models.pretrained.weights import all_weights

    order = ("model", "backbone", "none")
    found = [
        each
        for each in all_weights().values()
        if (unusable or each.use != "none")
        and all(word.lower() in _text(each).lower() for word in words)
    ]
    return sorted(found, key=lambda each: (order.index(each.use), each.name))


def fetch_model(name: str, to: str | Path | None = None) -> Path:
    """Download pretrained weights, so that later runs work offline.

    Args:
        name: a name on the list, such as ResNet50_Weights.SENTINEL2_ALL_MOCO.
        to: folder to write to; torch's cache by default.

    Returns:
        The weights file; for a whole model, a model directory that `predict` takes.

    Raises:
        ConfigError: no weights have that name, they fit no network here, or they are gone from
            their server.
        RetryError: the network failed.
    """
    from geoseg.models.pretrained import weight_files, weights
    from geoseg.models.pretrained.fetch_weights import fetch

    found = weights.named(name)
    if found.use == "none":
        raise ConfigError("fit none of geoseg's networks", where=name, fix="geoseg models list")
    return fetch(found, Path(to) if to else weight_files.cache())


def show_model(name: str | Path) -> dict[str, Any]:
    """Describe weights on torchgeo's list, a model directory or an ONNX file.

    Args:
        name: a name on the list, a model directory, or an ONNX file.

    Returns:
        The model's spec; for a directory of folds, their scores and the spec of each.

    Raises:
        ConfigError: no weights have that name.
        ModelError: the folder or file is not a model.
        UnsafeError: the ONNX file refers to other files or uses custom operators.
    """
    from dataclasses import asdict

    from geoseg.models.pretrained import weight_files, weights

    if Path(name).exists() or not weights.is_name(str(name)):
        return _shown(Path(name))
    found = weights.named(str(name))
    file = weight_files.cache() / found.file
    size = file.stat().st_size if file.is_file() else None
    return {**asdict(found), "architectures": found.architectures, "bytes": size}


def export_model(
    model: str | Path, out: str | Path | None = None, *, options: ExportOptions | None = None
) -> Path:
    """Export a network to one ONNX file that other programs run too.

    The exported network takes pixels divided by 255 and returns probabilities. They are compared
    with torch's before the file appears. The file carries the model directory's metadata.

    Args:
        model: a model directory, or the name of a ready model that has been fetched.
        out: the .onnx file to write; by default beside the model, named like it.
        options: what the file declares about its inputs.

    Returns:
        The file.

    Raises:
        ConfigError: the file has the wrong extension, or the tile does not suit the network.
        ModelError: the model is not a single network, or the file's probabilities differ from
            torch's.
    """
    from geoseg.models.exchange.onnx_export import write_onnx

    options = options or ExportOptions()
    folder, out = _network(Path(model)), _out(Path(model), out)
    written = write_onnx(folder, out, tile=options.tile, dynamic=options.dynamic)
    sizes = "any size" if written.any_size else "one size only"
    logger.info(
        "%s: takes windows of %s; its probabilities are torch's within %.1g",
        out, sizes, written.difference,
    )  # fmt: skip
    return out


def _network(model: Path) -> Path:
    """The directory of the one network of a model."""
    from geoseg.models.run.inference_settings import InferenceSettings
    from geoseg.models.saved_model import SavedModel, is_file

    found = SavedModel.open([model], InferenceSettings())
    if len(found.folders) > 1:
        raise ModelError(
            "holds several models, and a file can hold one", where=model,
            got=f"{len(found.folders)}",
            fix=f"export them one by one: {found.folders[0]}",
        )  # fmt: skip
    if not found.is_network or is_file(found.folders[0]):
        raise ModelError(
            "has no torch network to export", where=model,
            got=found.specs[0].architecture if not is_file(model) else "an ONNX file",
            wanted="a model directory with a network",
        )  # fmt: skip
    return found.folders[0]


def _out(model: Path, out: str | Path | None) -> Path:
    from geoseg.models.saved_model import ONNX

    if out is None:
        place = model if model.name not in {"", ".."} else model.resolve()
        return place.with_name(place.name + ONNX)
    if Path(out).suffix.lower() != ONNX:
        raise ConfigError("has the wrong extension", where=out, wanted=ONNX)
    return Path(out)


def _shown(path: Path) -> dict[str, Any]:
    from geoseg.models.saved.fold_models import members, read_folds
    from geoseg.models.saved_model import spec_of

    specs = {
        model.name: spec_of(model).model_dump(mode="json", exclude_none=True)
        for model in members(path)
    }
    if members(path) == [path]:
        return specs[path.name]
    scores = read_folds(path)
    return {**(scores.model_dump() if scores else {}), "folds": specs}


def _text(each: Weights) -> str:
    return " ".join((each.name, each.use, each.backbone, each.sensor, each.licence))
