"""The declaration of a whole pipeline: one YAML file to the options of every step."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from geoseg import yamlfile
from geoseg.errors import ConfigError
from geoseg.options import Options, ReadOptions, complaint
from geoseg.remote import is_remote
from geoseg.steps.evaluate.options import EvaluateOptions
from geoseg.steps.predict.options import PredictOptions
from geoseg.steps.publish.options import PublishOptions
from geoseg.steps.tile.options import TileOptions
from geoseg.steps.train.applicable import inapplicable
from geoseg.steps.train.options import TrainOptions
from geoseg.steps.vectorize.options import VectorizeOptions


class PipelineConfig(Options):
    """A pipeline: from scenes and labels to a map, its polygons and its accuracy.

    Paths are relative to the YAML file. Everything is written below ``out``: chips/, model/, map/,
    the polygon files, report.json and overview.png; map/report.html opens the map in a browser,
    map/map.qgz in QGIS.
    """

    title: str = ""
    """Heading of the overview; the name of the YAML file by default."""

    scenes: tuple[str, ...] = Field(min_length=1)
    """Scenes to train on: files, folders of bands, YAML files or glob patterns."""

    labels: str
    """Polygon layer, label raster, or a folder or glob pattern of label rasters."""

    classes: str
    """Class file."""

    out: str = "."
    """Folder for all results."""

    map: tuple[str, ...] = ()
    """Scenes to map and evaluate; by default those to train on."""

    truth: str | None = None
    """Truth for the evaluation; by default the labels."""

    polygons: tuple[str, ...] = ("landcover.gpkg", "landcover.geojson")
    """Polygon files to write; the extension sets the format."""

    read: ReadOptions = ReadOptions()
    """How scenes are read, in tile and predict."""

    tile: TileOptions = TileOptions()
    """Options of the tile step."""

    train: TrainOptions = TrainOptions()
    """Options of the train step."""

    predict: PredictOptions = PredictOptions()
    """Options of the predict step."""

    vectorize: VectorizeOptions = VectorizeOptions()
    """Options of the vectorize step."""

    evaluate: EvaluateOptions = EvaluateOptions()
    """Options of the evaluate step; by default it counts the held-out chips."""

    publish: PublishOptions = PublishOptions()
    """Options of the publish step; title, polygons and polygon labels default to those here."""

    def rooted(self, folder: Path) -> PipelineConfig:
        """A copy whose paths are taken as relative to ``folder``."""
        unlabelled = tuple(_scene(each, folder) for each in self.train.unlabelled)
        # an update counts as given, and a threshold refuses even an empty list of scenes
        given = {"unlabelled": unlabelled} if unlabelled else {}
        update: dict[str, Any] = {
            "scenes": tuple(_scene(each, folder) for each in self.scenes),
            "map": tuple(_scene(each, folder) for each in self.map or self.scenes),
            "labels": str(folder / self.labels),
            "truth": str(folder / (self.truth or self.labels)),
            "classes": str(folder / self.classes),
            "out": str(folder / self.out),
            "tile": _rooted(self.tile, folder),
            "train": _rooted(self.train.model_copy(update=given), folder),
            "predict": _rooted(self.predict, folder),
            "vectorize": self.vectorize.rooted(folder),
            "evaluate": _rooted(self.evaluate, folder),
            "publish": _rooted(self.publish, folder),
        }
        return self.model_copy(update=update)

    @model_validator(mode="after")
    def _something_is_held_out(self) -> PipelineConfig:
        kept = self.tile.test > 0 or self.tile.test_area or self.evaluate.split != "test"
        if not (kept or self.evaluate.area or self.map):
            raise ValueError(
                "tile.test is 0: nothing is left to evaluate on; set tile.test_area, "
                "evaluate.area, or evaluate.split: val"
            )
        return self

    @model_validator(mode="after")
    def _maps_stay_apart(self) -> PipelineConfig:
        if self.predict.grid:
            raise ValueError(
                "predict.grid: a pipeline scores every scene's map on the scene's own grid; join "
                "them afterwards with geoseg predict --grid"
            )
        return self

    @model_validator(mode="after")
    def _options_apply(self) -> PipelineConfig:
        idle = inapplicable(self.train)
        if idle:
            names = ", ".join(f"train.{name}" for name in idle)
            raise ValueError(
                f"{names}: do nothing with train.architecture: {self.train.architecture}"
            )
        return self

    @model_validator(mode="before")
    @classmethod
    def _spread_reading(cls, content: Any) -> Any:
        if not isinstance(content, Mapping) or not content.get("read"):
            return content
        read = content["read"]
        spread = {step: {**read, **(content.get(step) or {})} for step in ("tile", "predict")}
        return {**content, **spread}


def load(path: Path, overrides: Sequence[str] = ()) -> PipelineConfig:
    """Read a pipeline file.

    Args:
        path: the YAML file.
        overrides: "a.b=value" texts that override values of the file; the value is YAML.

    Raises:
        ConfigError: the file cannot be read, or keys are unknown or wrong; lists all of them.
    """
    content = yamlfile.read(path)
    for override in overrides:
        _override(content, override)
    try:
        return PipelineConfig.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(_problem(each) for each in error.errors())
        raise ConfigError(f"is not a pipeline: {problems}", where=path) from error


def _problem(error: ErrorDetails) -> str:
    """A problem of a pipeline file, with the key that was probably meant."""
    *parents, last = error["loc"] or ("",)
    key = ".".join(map(str, error["loc"]))
    if error["type"] != "extra_forbidden":
        return f"{key}: {complaint(error)}".removeprefix(": ")
    model = type(getattr(_DEFAULTS, str(parents[0]))) if parents else PipelineConfig
    close = get_close_matches(str(last), model.model_fields, n=1)
    return f"{key}: unknown key" + (f", did you mean {close[0]}?" if close else "")


_DEFAULTS = PipelineConfig(scenes=("",), labels="", classes="")


def _scene(scene: str, folder: Path) -> str:
    return scene if is_remote(scene) else str(folder / scene)


def _rooted[O: Options](options: O, folder: Path) -> O:
    values = {name: getattr(options, name) for name in type(options).model_fields}
    paths: dict[str, Any] = {
        name: folder / value for name, value in values.items() if isinstance(value, Path)
    }
    for name, value in values.items():
        if isinstance(value, tuple) and any(isinstance(each, Path) for each in value):
            paths[name] = tuple(folder / each for each in value)
    return options.model_copy(update=paths)


def _override(content: dict[str, Any], text: str) -> None:
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise ConfigError("is not a setting", where=f"--set {text}", wanted="a.b=value")
    *parents, last = key.split(".")
    for parent in parents:
        child = content.setdefault(parent, {})
        if not isinstance(child, dict):
            raise ConfigError(f"{parent} has no keys", where=f"--set {text}")
        content = child
    content[last] = yamlfile.parse(f"value: {value}")["value"]
