"""The commands of the steps: demo, info, tile, train, predict, vectorize, evaluate and so on."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from geoseg import layout
from geoseg.cli.application import AsJson, Out, command, print_paths
from geoseg.errors import ConfigError
from geoseg.steps.evaluate import EvaluateOptions, evaluate
from geoseg.steps.evaluate import draw_sample as sample
from geoseg.steps.evaluate.accuracy_text import describe as describe_accuracy
from geoseg.steps.info import InfoOptions, describe, info, unreadable
from geoseg.steps.predict import PredictOptions, explain, predict
from geoseg.steps.publish import PublishOptions, publish
from geoseg.steps.tile import TileOptions, tile
from geoseg.steps.train import TrainOptions, train
from geoseg.steps.vectorize import VectorizeOptions, vectorize
from geoseg.steps.view import ViewOptions, view


@command("demo")
def demo_(folder: Path = Path("demo"), /, *, seed: int = 0) -> None:
    """Build a demo: a synthetic scene, taken all the way to a map, polygons and a report.

    Parameters
    ----------
    folder:
        Folder to write to.
    seed:
        Seed of the landscape; another one makes another.
    """
    from geoseg.synthetic import demo

    print_paths(demo(folder, seed=seed))


@command("info")
def info_(
    paths: list[Path],
    /,
    *,
    as_json: AsJson = False,
    options: Annotated[InfoOptions, Parameter(name="*")] = InfoOptions(),
) -> int:
    """Describe rasters, vector layers, chips, models and maps.

    Parameters
    ----------
    paths:
        Files or folders.
    as_json:
        Print JSON.
    """
    entries = info(paths, options=options)
    print(json.dumps(entries, indent=2) if as_json else describe(entries))
    return 2 if unreadable(entries) else 0


@command("tile")
def tile_(
    scenes: list[str],
    /,
    *,
    labels: str,
    classes: Path,
    out: Out,
    options: Annotated[TileOptions, Parameter(name="*")] = TileOptions(),
) -> None:
    """Cut scenes and their labels into training chips.

    Parameters
    ----------
    scenes:
        Rasters, folders of single-band rasters, YAML files of bands, STAC items, lists (.txt),
        glob patterns, or addresses (with --remote).
    labels:
        Polygon layer, label raster, or a folder or glob pattern of label rasters.
    classes:
        Class file: YAML, QML, styled GeoPackage or coloured GeoTIFF.
    out:
        Chip directory to write.
    """
    print_paths([tile(scenes, labels, out, classes=classes, options=options)])


@command("train")
def train_(
    chips: Path,
    /,
    *,
    out: Out,
    options: Annotated[TrainOptions, Parameter(name="*", consume_multiple=True)] = TrainOptions(),
) -> None:
    """Train a segmentation network, a forest, an SVM or a threshold on chips.

    Parameters
    ----------
    chips:
        Chip directory.
    out:
        Model directory to write.
    """
    print_paths([train(chips, out, options=options)])


@command("predict")
def predict_(
    scenes: list[str],
    /,
    *,
    model: Annotated[list[Path], Parameter(negative=())],
    out: Annotated[str, Parameter(alias="-o")],
    why: Annotated[bool, Parameter(name="--explain", negative=())] = False,
    options: Annotated[PredictOptions, Parameter(name="*")] = PredictOptions(),
) -> None:
    """Map scenes with a model.

    Parameters
    ----------
    scenes:
        Rasters, folders of single-band rasters, YAML files of bands, STAC items, lists (.txt),
        glob patterns, or addresses (with --remote).
    model:
        Model directory, ONNX file, or the name of a ready model that has been fetched; several are
        averaged.
    out:
        Map directory to write, or an s3 address; each of several scenes gets a folder in it.
    why:
        Explain the choice of engine and window, and stop before mapping.
    """
    if why:
        print(explain(scenes, model, out, options=options))
        return
    folders = predict(scenes, model, out, options=options)
    print_paths(
        [folder / name for folder in folders for name in (layout.CLASSES, layout.CONFIDENCE)]
    )


@command("vectorize")
def vectorize_(
    classes: Path,
    /,
    *,
    out: Out,
    scheme: Annotated[Path | None, Parameter(name="--classes")] = None,
    options: Annotated[VectorizeOptions, Parameter(name="*")] = VectorizeOptions(),
) -> None:
    """Turn a class raster into polygons.

    Parameters
    ----------
    classes:
        Class raster, such as MAP/classes.tif.
    out:
        Layer to write: .gpkg, .geojson, .geojsonl, .ndjson, .fgb or .parquet.
    scheme:
        Class file whose ids are the pixel values, or a style that lists the values; by default
        classes.yaml beside the raster, or the raster's own names and colours.
    """
    print_paths([vectorize(classes, out, scheme=scheme, options=options)])


@command("evaluate")
def evaluate_(
    mapped: list[Path],
    /,
    *,
    truth: str | None = None,
    draw_sample: int | None = None,
    standard_error: float | None = None,
    out: Annotated[Path, Parameter(alias="-o")] = Path("sample.gpkg"),
    as_json: AsJson = False,
    options: Annotated[EvaluateOptions, Parameter(name="*")] = EvaluateOptions(),
) -> None:
    """Measure accuracy, or draw a validation sample.

    Parameters
    ----------
    mapped:
        Map directories, class rasters, or polygons with a class_id; several are pooled.
    truth:
        Polygons, a label raster, a folder of label rasters, or a completed sample.
    draw_sample:
        Instead of --truth: draw this many random points, stratified by class, for people to label.
    standard_error:
        Instead of a number of points: the target standard error of overall accuracy.
    out:
        GeoPackage to write the points to.
    as_json:
        Print JSON.
    """
    if truth is None:
        if draw_sample is None and standard_error is None:
            raise ConfigError("there is no truth to compare with", fix="--truth, or --draw-sample")
        print_paths(
            [
                sample(
                    mapped, out, points=draw_sample, standard_error=standard_error, options=options
                )
            ]
        )
        return
    report = evaluate(mapped, truth, options=options)
    print(json.dumps(report, indent=2) if as_json else describe_accuracy(report))
    if options.plots is not None and not as_json:
        print_paths(sorted(options.plots.glob("*.png")))


@command("publish")
def publish_(
    land_map: Path,
    /,
    *,
    options: Annotated[PublishOptions, Parameter(name="*")] = PublishOptions(),
) -> None:
    """Write a web page, a QGIS project, styles and a STAC item beside a map.

    Parameters
    ----------
    land_map:
        Map directory, or the classes.tif in it.
    """
    print_paths(publish(land_map, options=options))


@command("view")
def view_(
    land_map: Path,
    /,
    *,
    options: Annotated[ViewOptions, Parameter(name="*")] = ViewOptions(),
) -> None:
    """Show a map, or a live run, in the browser; Ctrl-C stops.

    Parameters
    ----------
    land_map:
        Map directory, or the classes.tif in it.
    """
    view(land_map, options=options)


@command("run")
def run_(
    config: Path, /, *, settings: Annotated[list[str] | None, Parameter(name="--set")] = None
) -> None:
    """Run a whole pipeline from one YAML file; unchanged steps are skipped.

    Parameters
    ----------
    config:
        Pipeline file, YAML.
    settings:
        a.b=value overrides a value of the file; repeatable.
    """
    from geoseg.pipeline import run

    print_paths(run(config, settings=settings or []))
