"""Pretrained weights and models on this machine: list, fetch, show, export."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import Field

from geoseg.errors import ConfigError, ModelError
from geoseg.options import Options

if TYPE_CHECKING:
    from geoseg.models.pretrained.weights import Weights

logger = logging.getLogger(__name__)


class ExportOptions(Options):
    """Options of `export_model`."""

    tile: int | None = Field(None, ge=32)
    """Side in pixels of the tiles that Deepness and GeoDeep cut; by default 512, or the size the
    network was trained on. geoseg maps windows of any size all the same."""

    dynamic: bool = False
    """Declare that the network takes any number of images of any size; Deepness and GeoDeep do not
    open such files."""


def list_models(words: Sequence[str] = (), *, unusable: bool = False) -> list[Weights]:
    """List the pretrained weights that torchgeo offers; no connection is opened.

    Args:
        words: parts of names, sensors or backbones that all have to be there; case does not count.
        unusable: whether those are listed too that fit none of geoseg's networks.

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
    from geoseg.models.pretrained import weight_files, weights
    from geoseg.models.pretrained.fetch_weights import fetch

    found = weights.named(name)
    if found.use == "none":
        raise ConfigError(
            "fit none of the networks that map pixels here", where=name, fix="geoseg models list"
        )
    return fetch(found, Path(to) if to else weight_files.cache())


def show_model(name: str | Path) -> dict[str, Any]:
    """Say what weights of torchgeo's list, a model directory or an ONNX file were made for.

    Args:
        name: of weights, a model directory, or an ONNX file.

    Returns:
        The spec of a model; of a directory of folds their scores, and the spec of each by name.

    Raises:
        ConfigError: there are no weights of that name.
        ModelError: the folder or the file is no model.
        UnsafeError: the file needs other files, or operators that are not ONNX's own.
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
    """Write a network as one ONNX file, which other programs run too.

    It takes pixels divided by 255 and gives probabilities. What it gives is compared with what
    torch gives before the file appears, and what the model directory says is kept in it.

    Args:
        model: a model directory, or the name of a ready model that was fetched.
        out: the .onnx file to write; beside the model and named like it when not given.
        options: what the file declares about its tiles.

    Returns:
        The file.

    Raises:
        ConfigError: the name does not end as it should, or the tile does not suit the network.
        ModelError: it is no network, or gives other probabilities as a file.
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
            "is several models, and a file holds one", where=model, got=f"{len(found.folders)}",
            fix=f"export them one after the other: {found.folders[0]}",
        )  # fmt: skip
    if not found.is_network or is_file(found.folders[0]):
        raise ModelError(
            "has no network of torch to export", where=model,
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
        raise ConfigError(
            "is not named as what it will be", where=out, wanted=f"a name ending with {ONNX}"
        )
    return Path(out)


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
