"""STAC items of models, by the Machine Learning Model extension (MLM)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pystac import Asset, Item, MediaType
from pystac.extensions.mlm import (
    AssetGeneralMLMExtension,
    InputStructure,
    MLMExtension,
    ModelInput,
    ModelOutput,
    ResultStructure,
    TaskType,
    ValueScaling,
    ValueScalingType,
)
from pystac.extensions.raster import DataType

from geoseg.classes import ClassScheme
from geoseg.layout import RECORD, stac_models
from geoseg.maps.contents import Contents, model_name
from geoseg.maps.links import href
from geoseg.metadata.record_fields import classification, finished_at

FRAMEWORKS = {"forest": "Scikit-learn", "svm": "Scikit-learn", "threshold": "geoseg"}
DIMENSIONS = ["batch", "channel", "height", "width"]


def model_items(contents: Contents, name: str) -> dict[str, Item]:
    """An item for each model that made the map, by file name: model.json, or model-1.json ...

    Args:
        contents: the map.
        name: id of the map's item, which ids of its models begin with.
    """
    files = stac_models(len(contents.models))
    return {
        file: _item(contents, spec, f"{name}-m{number}")
        for number, (file, spec) in enumerate(zip(files, contents.models, strict=True), start=1)
    }


def _item(contents: Contents, spec: Mapping[str, Any], name: str) -> Item:
    item = Item(name, None, None, finished_at(contents), {"title": f"Model of {contents.title}"})
    weights, kind = _weights(contents, spec)
    asset = Asset(weights, "Weights", media_type=kind, roles=["mlm:model"])
    item.add_asset("model", asset)
    framework = FRAMEWORKS.get(spec["architecture"], "PyTorch")
    version = (contents.record.versions if contents.record else {}).get("torch")
    MLMExtension.ext(item, add_if_missing=True).apply(
        name=f"geoseg-{name}",
        architecture=model_name(spec),
        tasks=[TaskType.SEMANTIC_SEGMENTATION],
        input=[_input(spec)],
        output=[_output(spec)],
        framework=framework,
        framework_version=version if framework == "PyTorch" else None,
        pretrained=bool(spec.get("origin")) or None,
        pretrained_source=spec.get("origin") or None,
    )
    AssetGeneralMLMExtension.ext(asset).apply(artifact_type="safetensors")
    return item


def _weights(contents: Contents, spec: Mapping[str, Any]) -> tuple[str, str]:
    """Link and media type of the weights; a model without any is kept in the run's record."""
    digest = spec.get("weights_sha256")
    inputs = contents.record.inputs if contents.record else []
    for each in inputs:
        if digest and each["sha256"] == digest:
            return href(Path(each["path"]), contents.folder), "application/octet-stream"
    return f"./{RECORD}", MediaType.JSON


def _input(spec: Mapping[str, Any]) -> ModelInput:
    bands = list(spec["bands"])
    structure = InputStructure.create([-1, len(bands), -1, -1], DIMENSIONS, DataType.FLOAT32)
    about = f"{spec['dtype']} pixels of {spec['gsd_m']:g} m"
    made = ModelInput.create("scene", bands, structure, description=about)
    scaling = zip(spec.get("mean", ()), spec.get("std", ()), strict=True)
    each_band = [
        ValueScaling.create(ValueScalingType.Z_SCORE, mean=mean, stddev=std).to_dict()
        for mean, std in scaling
    ]
    if each_band:
        # the extension has one per band, ModelInput.create of pystac 1.15 one for all bands
        made.properties["value_scaling"] = each_band
    return made


def _output(spec: Mapping[str, Any]) -> ModelOutput:
    scheme = ClassScheme.model_validate(spec["scheme"])
    shape = [-1, len(scheme.classes), -1, -1]
    classes = classification(scheme, {})[:-1]
    for each in classes:
        # readers of this extension expect classes of version 1, which have no title
        each.title = None
    return ModelOutput.create(
        "classes",
        [TaskType.SEMANTIC_SEGMENTATION],
        ResultStructure.create(shape, ["batch", "class", "height", "width"], DataType.FLOAT32),
        classes=classes,
    )
