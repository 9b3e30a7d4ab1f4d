"""The commands of `geoseg models`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from geoseg.cli.application import command, group, print_paths
from geoseg.steps.models import (
    ExportOptions,
    export_model,
    fetch_model,
    list_models,
    show_model,
)
from geoseg.steps.models.weights_table import table

models_app = group("models", "List, download, describe and export models and pretrained weights.")


@command("list", of=models_app)
def list_models_(
    words: list[str] | None = None,
    /,
    *,
    unusable: Annotated[bool, Parameter(negative=())] = False,
) -> None:
    """List torchgeo's pretrained weights: whole models for predict, backbones for train --weights.

    Parameters
    ----------
    words:
        Texts that must occur in a name, sensor, backbone or licence.
    unusable:
        List also weights that fit none of geoseg's networks.
    """
    print(table(list_models(words or [], unusable=unusable)))


@command("fetch", of=models_app)
def fetch_model_(name: str, /, *, to: Path | None = None) -> None:
    """Download pretrained weights; a ready model becomes a model directory.

    Parameters
    ----------
    name:
        A name on the list.
    to:
        Folder to write to; torch's cache by default.
    """
    print_paths([fetch_model(name, to)])


@command("show", of=models_app)
def show_model_(name: str, /) -> None:
    """Describe weights, a model directory or an ONNX file as JSON.

    Parameters
    ----------
    name:
        A name on the list, a model directory, or an ONNX file.
    """
    print(json.dumps(show_model(name), indent=2))


@command("export", of=models_app)
def export_model_(
    model: Path,
    out: Path | None = None,
    /,
    *,
    options: Annotated[ExportOptions, Parameter(name="*")] = ExportOptions(),
) -> None:
    """Export a network to one ONNX file that QGIS plugins and other programs run.

    Parameters
    ----------
    model:
        Model directory, or the name of a ready model that has been fetched.
    out:
        .onnx file to write; by default beside the model, named like it.
    """
    print_paths([export_model(model, out, options=options)])
