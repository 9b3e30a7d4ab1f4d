"""Run a whole pipeline; unchanged steps are skipped."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg import layout
from geoseg.config import PipelineConfig, load
from geoseg.steps.evaluate import evaluate
from geoseg.steps.predict import predict
from geoseg.steps.publish import publish
from geoseg.steps.tile import tile
from geoseg.steps.train import train
from geoseg.steps.vectorize import vectorize

if TYPE_CHECKING:
    from geoseg.job import Inputs
    from geoseg.raster import Scene

MAP_FILES = (layout.CLASSES, layout.CONFIDENCE, layout.CLASS_FILE)
"""What later steps read of a map."""


def run(config: str | Path, *, settings: Sequence[str] = ()) -> list[Path]:
    """Run a pipeline; steps whose inputs and options have not changed are skipped.

    Args:
        config: the pipeline file, YAML; its keys are those of `geoseg.config.PipelineConfig`.
        settings: "a.b=value" texts that override values of the file.

    Returns:
        The folders and files made, overview.png last.

    Raises:
        ConfigError: the file is not a valid pipeline.
        GeosegError: a step failed; the results of earlier steps are kept.

    Example:
        >>> import geoseg
        >>> made = geoseg.run("pipeline.yaml", settings=["polygons=[lake.gpkg]"])
        >>> [path.name for path in made[:3]], made[-1].name
        (['chips', 'model', 'map'], 'overview.png')
    """
    path = Path(config)
    plan = load(path, settings).rooted(path.parent)
    from geoseg.raster import expand, open_scene
    from geoseg.steps.predict.plan import map_name

    out = Path(plan.out)
    chips = tile(plan.scenes, plan.labels, out / "chips", classes=plan.classes, options=plan.tile)
    model = train(chips, out / "model", options=plan.train)
    maps = predict(plan.map, model, out / "map", options=plan.predict)
    report = _report(plan, maps, chips, out / layout.ACCURACY_REPORT)
    made = [chips, model, *maps]
    scenes = list(expand(plan.map))
    names = [map_name(open_scene(scene, plan.tile).name) for scene in scenes]
    scene_of = dict(zip(names, scenes, strict=True))
    for land_map in maps:
        scene = scene_of[land_map.name] if len(scenes) > 1 else scenes[0]
        folder = out if len(maps) == 1 else out / land_map.name
        polygons = [_polygons(plan, land_map, folder / name) for name in plan.polygons]
        title = plan.title or path.stem
        made += [*polygons, *_published(plan, land_map, polygons, report, title)]
        picture = _Picture(plan, title, scene, land_map, chips, report)
        made.append(picture.draw(folder / layout.OVERVIEW, folder / plan.polygons[0]))
    return [*made[:-1], report, made[-1]]


def _polygons(plan: PipelineConfig, land_map: Path, out: Path) -> Path:
    from geoseg import raster
    from geoseg.job import WorkerOptions, once

    rasters = {f"raster {name}": each for name, each in plan.vectorize.rasters.items()}
    once(
        "vectorize",
        _record(out),
        inputs={
            "map": [land_map / name for name in MAP_FILES],
            **{role: raster.files_of(path) for role, path in rasters.items()},
        },
        options=plan.vectorize.model_dump(mode="json", exclude=set(WorkerOptions.model_fields)),
        outputs=[out],
        work=partial(vectorize, land_map / layout.CLASSES, out, options=plan.vectorize),
    )
    return out


def _published(
    plan: PipelineConfig, land_map: Path, polygons: Sequence[Path], accuracy: Path, title: str
) -> list[Path]:
    """Publish a map; returns map.qgz and report.html, out of all the files written.

    `publish` finds the accuracy report by itself. It is an input here so that the map is published
    again when the report changes.
    """
    from geoseg import raster, vector
    from geoseg.job import once
    from geoseg.maps.contents import VECTORS

    labels, options = Path(plan.labels), plan.publish
    one_layer = labels.suffix.lower() in (*VECTORS, ".shp") and plan.tile.layer is None
    shown = options.labels or (labels if one_layer else None)
    options = options.model_copy(
        update={
            "title": options.title or title,
            "polygons": options.polygons or tuple(polygons),
            "labels": shown,
        }
    )
    inputs: Inputs = {
        "map": [land_map / name for name in MAP_FILES],
        "polygons": options.polygons,
        "labels": vector.files_of(shown) if shown else (),
        "accuracy": [options.accuracy or accuracy],
        "imagery": raster.files_of(options.imagery) if options.imagery else (),
    }
    apart = {"polygons", "labels", "imagery", "accuracy"}
    names = (
        layout.PROJECT,
        layout.REPORT_PAGE,
        layout.LAYER_DEFINITION,
        layout.STAC_ITEM,
        layout.STAC_COLLECTION,
    )
    once(
        "publish",
        _record(land_map / "publish"),
        inputs=inputs,
        options=options.model_dump(mode="json", exclude=apart),
        outputs=[land_map / name for name in names],
        work=partial(publish, land_map, options=options),
    )
    return [land_map / layout.PROJECT, land_map / layout.REPORT_PAGE]


def _report(plan: PipelineConfig, maps: Sequence[Path], chips: Path, out: Path) -> Path:
    from geoseg import vector
    from geoseg.chips import open_chips
    from geoseg.files import write_json
    from geoseg.job import once
    from geoseg.labels import LabelLayer

    options, truth = plan.evaluate, plan.truth or ""
    if options.chips is None and options.area is None:
        options = options.model_copy(update={"chips": chips})
    made_from: Inputs = {
        **{
            f"map {number}": [land_map / name for name in MAP_FILES]
            for number, land_map in enumerate(maps, 1)
        },
        "truth": LabelLayer(truth, open_chips(chips).spec.scheme).inputs(),
        "chips": [options.chips / layout.CHIP_INDEX] if options.chips else [],
        "area": vector.files_of(options.area) if options.area else [],
    }
    once(
        "evaluate",
        _record(out),
        inputs=made_from,
        options=options.model_dump(mode="json", exclude={"chips", "area"}),
        outputs=[out],
        work=lambda: write_json(out, evaluate(maps, truth, options=options)),
    )
    return out


@dataclass(frozen=True)
class _Picture:
    """The overview picture of one map."""

    plan: PipelineConfig
    title: str
    scene: Scene
    land_map: Path
    chips: Path
    report: Path

    def draw(self, out: Path, polygons: Path) -> Path:
        from geoseg.job import once

        once(
            "overview",
            _record(out),
            inputs={
                **self._sources(),
                "map": [self.land_map / layout.CLASSES],
                "report": [self.report],
                "polygons": [polygons],
            },
            options={"title": self.title},
            outputs=[out],
            work=lambda: self._draw(out, polygons),
        )
        return out

    def _sources(self) -> Inputs:
        from geoseg.raster import open_scene

        return {
            "scene": open_scene(self.scene, self.plan.tile).paths,
            "chips": [self.chips / layout.CHIP_INDEX, self.chips / layout.CHIP_SPEC],
        }

    def _draw(self, out: Path, polygons: Path) -> None:
        from geoseg.chips import open_chips
        from geoseg.labels import LabelLayer
        from geoseg.overview import Subject, write_overview
        from geoseg.raster import open_scene

        chips, options = open_chips(self.chips), self.plan.tile
        scheme, truth = chips.spec.scheme, self.plan.truth or ""
        subject = Subject(
            title=self.title,
            source=open_scene(self.scene, options),
            labels=LabelLayer(truth, scheme, options.column, options.layer),
            classes=self.land_map / layout.CLASSES,
            polygons=polygons,
            chips=chips,
            report=json.loads(self.report.read_text(encoding="utf-8")),
        )
        write_overview(subject, out)


def _record(out: Path) -> Path:
    return out.parent / layout.STEPS_FOLDER / f"{out.name}.json"
