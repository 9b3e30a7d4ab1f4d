"""A whole pipeline from one YAML file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, model_validator

from geoseg import yamlfile
from geoseg.errors import ConfigError
from geoseg.options import Options, ReadOptions
from geoseg.steps.evaluate import EvaluateOptions, evaluate
from geoseg.steps.predict import PredictOptions, predict
from geoseg.steps.tile import TileOptions, tile
from geoseg.steps.train import TrainOptions, train
from geoseg.steps.vectorize import VectorizeOptions, vectorize


class PipelineConfig(Options):
    """A pipeline: from scenes and labels to a map, its polygons and its accuracy.

    Paths are relative to the YAML file. Everything is written below ``out``: chips/, model/, map/,
    the polygon files, report.json and overview.png.
    """

    title: str = ""
    """Heading of the overview; the name of the YAML file by default."""

    scenes: tuple[str, ...] = Field(min_length=1)
    """Scenes to learn from: files, folders of bands, YAML files or patterns."""

    labels: str
    """Polygon layer, label raster, or a folder or pattern of label rasters."""

    classes: str
    """Class file."""

    out: str = "."
    """Folder for all results."""

    map: tuple[str, ...] = ()
    """Scenes to map and evaluate; those to learn from by default."""

    truth: str | None = None
    """Truth for the evaluation; the labels by default."""

    polygons: tuple[str, ...] = ("landcover.gpkg", "landcover.geojson")
    """Polygon files to write; the extension picks the format."""

    read: ReadOptions = ReadOptions()
    """How scenes are read; holds for tile and predict."""

    tile: TileOptions = TileOptions()
    """Options of the tile step."""

    train: TrainOptions = TrainOptions()
    """Options of the train step."""

    predict: PredictOptions = PredictOptions()
    """Options of the predict step."""

    vectorize: VectorizeOptions = VectorizeOptions()
    """Options of the vectorize step."""

    evaluate: EvaluateOptions = EvaluateOptions()
    """Options of the evaluate step; the held-out chips are counted unless it says otherwise."""

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
        overrides: "a.b=value" texts that replace what the file says; the value is YAML.

    Raises:
        ConfigError: the file cannot be read, or a key is unknown or wrong; all of them are named.
    """
    content = yamlfile.read(path)
    for override in overrides:
        _override(content, override)
    try:
        return PipelineConfig.model_validate(content)
    except ValidationError as error:
        problems = "; ".join(
            f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.errors()
        )
        raise ConfigError(f"is not a pipeline: {problems}", where=path) from error


def run(path: str | Path, *, overrides: Sequence[str] = ()) -> list[Path]:
    """Run a pipeline; steps whose inputs and options have not changed are skipped.

    Args:
        path: a YAML file as `PipelineConfig` describes it.
        overrides: "a.b=value" texts that replace what the file says.

    Returns:
        What was made, overview.png last.

    Raises:
        ConfigError: the file is not a pipeline.
        GeosegError: a step failed; earlier steps are kept.
    """
    path = Path(path)
    config = load(path, overrides)
    here = path.parent
    out = here / config.out
    scenes = [str(here / scene) for scene in config.scenes]
    to_map = [str(here / scene) for scene in config.map] or scenes
    labels, truth = str(here / config.labels), str(here / (config.truth or config.labels))
    chips = tile(scenes, labels, out / "chips", classes=here / config.classes,
                 options=_rooted(config.tile, here))  # fmt: skip
    model = train(chips, out / "model", options=config.train)
    maps = predict(to_map, model, out / "map", options=config.predict)
    made = [chips, model, *maps]
    for scene, mapped in zip(to_map, maps, strict=True):
        folder = out if len(maps) == 1 else out / mapped.name
        made += _deliver(config, here, scene, mapped, truth, chips, folder, path.stem)
    return made


def _deliver(
    config: PipelineConfig, here: Path, scene: str, mapped: Path, truth: str, chips: Path,
    folder: Path, name: str,
) -> list[Path]:  # fmt: skip
    """Polygons, report and overview of one map."""
    from geoseg.job import once

    classes = mapped / "classes.tif"
    polygons = [folder / each for each in config.polygons]
    for each in polygons:
        once(
            "vectorize",
            folder / ".steps" / f"{each.name}.json",
            inputs=[classes, mapped / "confidence.tif", mapped / "classes.yaml"],
            options=config.vectorize.model_dump(mode="json"),
            outputs=[each],
            work=partial(vectorize, classes, each, options=config.vectorize),
        )
    options = _rooted(config.evaluate, here)
    if options.chips is None and options.area is None:
        options = options.model_copy(update={"chips": chips})
    report, overview = folder / "report.json", folder / "overview.png"
    once(
        "evaluate",
        folder / ".steps" / "report.json",
        inputs=[classes, mapped / "classes.yaml", Path(truth), chips / "chips.gpkg"],
        options=options.model_dump(mode="json", exclude={"chips"}),
        outputs=[report],
        work=lambda: _write_report(report, evaluate(mapped, truth, options=options)),
    )
    once(
        "overview",
        folder / ".steps" / "overview.json",
        inputs=[classes, report, polygons[0]],
        options={"title": config.title},
        outputs=[overview],
        work=lambda: _write_overview(
            config, scene, classes, polygons[0], truth, chips, report, overview, name
        ),
    )
    return [*polygons, report, overview]


def _write_report(path: Path, report: dict[str, Any]) -> None:
    from geoseg import files

    files.write_json(path, report)


def _write_overview(
    config: PipelineConfig, scene: str, classes: Path, polygons: Path, truth: str, chips: Path,
    report: Path, out: Path, name: str,
) -> None:  # fmt: skip
    from geoseg.chips import LabelLayer, open_chips
    from geoseg.publish.overview import Subject, write_overview
    from geoseg.raster import open_scene

    chip_set = open_chips(chips)
    tile_options = config.tile
    write_overview(
        Subject(
            title=config.title or name,
            source=open_scene(scene, tile_options),
            labels=LabelLayer(
                truth, chip_set.spec.scheme, tile_options.column, tile_options.layer
            ),
            classes=classes,
            polygons=polygons,
            chips=chip_set,
            report=json.loads(report.read_text(encoding="utf-8")),
        ),
        out,
    )


def _rooted[O: Options](options: O, here: Path) -> O:
    """Options whose paths are relative to the YAML file, made relative to where we are."""
    paths = {
        name: here / value for name in type(options).model_fields
        if isinstance(value := getattr(options, name), Path)
    }  # fmt: skip
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
