"""The command line: parse, call one function, print the paths."""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import warnings
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

from cyclopts import App, CycloptsError, Parameter
from pydantic import ValidationError

from geoseg.catalog.fetch import FetchOptions
from geoseg.errors import ConfigError, GeosegError
from geoseg.options import complaint
from geoseg.steps.catalog import AddOptions, add_entry
from geoseg.steps.evaluate import EvaluateOptions, evaluate
from geoseg.steps.evaluate import draw_sample as sample
from geoseg.steps.evaluate.accuracy_text import describe as describe_accuracy
from geoseg.steps.info import InfoOptions, describe, info, unreadable
from geoseg.steps.models import ExportOptions, export_model
from geoseg.steps.predict import PredictOptions, explain, predict
from geoseg.steps.publish import PublishOptions, publish
from geoseg.steps.tile import TileOptions, tile
from geoseg.steps.train import TrainOptions, train
from geoseg.steps.vectorize import VectorizeOptions, vectorize
from geoseg.steps.view import ViewOptions, view

app = App(
    name="geoseg",
    help="Land-cover and flood maps from satellite, aerial and drone rasters.",
    help_epilogue="--debug after any command shows where an error came from.",
    version=lambda: version("geoseg"),
    default_parameter=Parameter(negative_iterable=()),
    result_action="return_value",
    suppress_keyboard_interrupt=False,
)
catalog_app = App(name="catalog", help="The data sets that configs and pipelines name.")
app.command(catalog_app)
models_app = App(name="models", help="Pretrained weights, ready models, and model directories.")
app.command(models_app)

Out = Annotated[Path, Parameter(alias="-o")]
AsJson = Annotated[bool, Parameter(name="--json", negative=())]


@app.command(name="demo")
def demo_(folder: Path = Path("demo"), /, *, seed: int = 0) -> None:
    """Make a scene from a seed and take it all the way to a map, polygons and a report.

    Parameters
    ----------
    folder:
        Where everything goes.
    seed:
        Another seed makes another landscape.
    """
    from geoseg.synthetic import demo

    _print(demo(folder, seed=seed))


@app.command(name="info")
def info_(
    paths: list[Path],
    /,
    *,
    as_json: AsJson = False,
    options: Annotated[InfoOptions, Parameter(name="*")] = InfoOptions(),
) -> int:
    """Show what geoseg sees in rasters, vectors, chips, models and maps.

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


@app.command(name="tile")
def tile_(
    scenes: list[str],
    /,
    *,
    labels: str,
    classes: Path,
    out: Out,
    options: Annotated[TileOptions, Parameter(name="*")] = TileOptions(),
) -> None:
    """Cut scenes and rasterized labels into training chips.

    Parameters
    ----------
    scenes:
        Rasters, folders of single-band rasters, YAML files of bands, STAC items, lists (.txt),
        patterns, or with --remote addresses.
    labels:
        Polygon layer, label raster, or a folder or pattern of label rasters.
    classes:
        Class file: YAML, QML, styled GeoPackage or coloured GeoTIFF.
    out:
        Chip directory to write.
    """
    _print([tile(scenes, labels, out, classes=classes, options=options)])


@app.command(name="train")
def train_(
    chips: Path,
    /,
    *,
    out: Out,
    options: Annotated[TrainOptions, Parameter(name="*", consume_multiple=True)] = TrainOptions(),
) -> None:
    """Fit a torchgeo segmentation network, a forest, an SVM or a threshold to chips.

    Parameters
    ----------
    chips:
        Chip directory.
    out:
        Model directory to write.
    """
    _print([train(chips, out, options=options)])


@app.command(name="predict")
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
        patterns, or with --remote addresses.
    model:
        Model directory, ONNX file, or the name of a ready model that was fetched; several are
        averaged.
    out:
        Map directory to write, or an s3 address; several scenes get a folder each in it.
    why:
        Choose engine and window, say why, and stop before mapping.
    """
    if why:
        print(explain(scenes, model, out, options=options))
        return
    folders = predict(scenes, model, out, options=options)
    _print([folder / name for folder in folders for name in ("classes.tif", "confidence.tif")])


@app.command(name="vectorize")
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
        .gpkg, .geojson, .geojsonl, .ndjson, .fgb or .parquet file to write.
    scheme:
        Class file whose ids are the pixel values, or a style that names the values; without it
        classes.yaml beside the raster, or the raster's own names and colours.
    """
    _print([vectorize(classes, out, scheme=scheme, options=options)])


@app.command(name="evaluate")
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
    """Say how right a map is, or draw the points that would tell.

    Parameters
    ----------
    mapped:
        Map directories, class rasters, or polygons with a class_id; several count together.
    truth:
        Polygons, a label raster, a folder of label rasters, or a sample that is filled in.
    draw_sample:
        Instead of a truth: draw so many points at random within each class, for people to fill in.
    standard_error:
        Instead of a number of points: what the standard error of overall accuracy shall be.
    out:
        GeoPackage for the points.
    as_json:
        Print JSON.
    """
    if truth is None:
        if draw_sample is None and standard_error is None:
            raise ConfigError("there is nothing to compare with", fix="--truth, or --draw-sample")
        _print(
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
        _print(sorted(options.plots.glob("*.png")))


@app.command(name="publish")
def publish_(
    land_map: Path,
    /,
    *,
    options: Annotated[PublishOptions, Parameter(name="*")] = PublishOptions(),
) -> None:
    """Write beside a map a page to look at, a QGIS project, styles and a STAC item.

    Parameters
    ----------
    land_map:
        Map directory, or the classes.tif in it.
    """
    _print(publish(land_map, options=options))


@app.command(name="view")
def view_(
    land_map: Path,
    /,
    *,
    options: Annotated[ViewOptions, Parameter(name="*")] = ViewOptions(),
) -> None:
    """Show a map, or a run that is still going, in the browser; Ctrl-C ends it.

    Parameters
    ----------
    land_map:
        Map directory, or the classes.tif in it.
    """
    view(land_map, options=options)


@app.command(name="run")
def run_(
    config: Path, /, *, settings: Annotated[list[str] | None, Parameter(name="--set")] = None
) -> None:
    """Run a whole pipeline from one YAML file; unchanged steps are skipped.

    Parameters
    ----------
    config:
        The YAML file.
    settings:
        a.b=value replaces what the file says.
    """
    from geoseg.pipeline import run

    _print(run(config, settings=settings or []))


@catalog_app.command(name="list")
def list_(*, root: Path | None = None) -> None:
    """List the data sets.

    Parameters
    ----------
    root:
        Another catalog folder than data_catalog/.
    """
    from geoseg.catalog import list_entries

    for entry in list_entries(root):
        print(f"{entry.id:18} {entry.license:20} {entry.title}")


@catalog_app.command
def show(
    name: str,
    /,
    *,
    classes: Annotated[bool, Parameter(negative=())] = False,
    like: str | None = None,
    root: Path | None = None,
) -> None:
    """Show a data set as JSON: licence, bands, classes, how to fetch it.

    Parameters
    ----------
    name:
        Its id.
    classes:
        Print a class file for its label rasters instead.
    like:
        Print one with the classes of that data set, as far as it has a counterpart for them.
    root:
        Another catalog folder than data_catalog/.
    """
    from geoseg.catalog import scheme_of
    from geoseg.catalog import show as entry_of

    entry = entry_of(root, name)
    if classes or like:
        scheme = scheme_of(entry, entry_of(root, like) if like else None)
        print(scheme.to_yaml(), end="")
    else:
        print(entry.model_dump_json(indent=2))


@catalog_app.command(name="add")
def add_(
    paths: list[Path],
    /,
    *,
    name: str,
    licence: Annotated[str, Parameter(name="--license")],
    root: Path | None = None,
    options: Annotated[AddOptions, Parameter(name="*")] = AddOptions(),
) -> None:
    """Describe rasters and polygon files of your own as a data set of a catalog.

    Parameters
    ----------
    paths:
        Rasters and polygon files.
    name:
        The id of the new data set.
    licence:
        SPDX id of its licence, such as CC-BY-4.0, or "other".
    root:
        The catalog's folder, data_catalog/ by default; a catalog is made where there is none.
    """
    _print(add_entry(paths, name, licence, root=root, options=options))


@catalog_app.command(name="fetch")
def fetch_(
    name: str,
    /,
    *,
    to: Path,
    root: Path | None = None,
    options: Annotated[FetchOptions, Parameter(name="*")] = FetchOptions(),
) -> None:
    """Bring the files of a data set onto this machine; checked, and resumed if broken off.

    Parameters
    ----------
    name:
        Its id.
    to:
        Folder to write to; the files go into a folder in it that is called like the data set.
    root:
        Another catalog folder than data_catalog/.
    """
    from geoseg.catalog import fetch

    _print(fetch(root, name, to, options=options))


@catalog_app.command
def validate(*, root: Path | None = None) -> int:
    """Check every entry: form, links, licences, checksums.

    Parameters
    ----------
    root:
        Another catalog folder than data_catalog/.
    """
    from geoseg.catalog import list_entries
    from geoseg.catalog import validate as problems_of

    problems = problems_of(root)
    for problem in problems:
        print(problem)
    if not problems:
        print(f"{len(list_entries(root))} entries are valid")
    return 2 if problems else 0


@models_app.command(name="list")
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
        Parts of names, sensors or backbones that have to be there.
    unusable:
        List those too that fit none of geoseg's networks.
    """
    from geoseg.steps.models import list_models, table

    print(table(list_models(words or [], unusable=unusable)))


@models_app.command(name="fetch")
def fetch_model_(name: str, /, *, to: Path | None = None) -> None:
    """Bring pretrained weights onto this machine; a ready model becomes a model directory.

    Parameters
    ----------
    name:
        A name of the list.
    to:
        Folder to write to; torch's cache when not given.
    """
    from geoseg.steps.models import fetch_model

    _print([fetch_model(name, to)])


@models_app.command(name="show")
def show_model_(name: str, /) -> None:
    """Show as JSON what weights, a model directory or an ONNX file were made for.

    Parameters
    ----------
    name:
        A name of the list, a model directory, or an ONNX file.
    """
    from geoseg.steps.models import show_model

    print(json.dumps(show_model(name), indent=2))


@models_app.command(name="export")
def export_model_(
    model: Path,
    out: Path | None = None,
    /,
    *,
    options: Annotated[ExportOptions, Parameter(name="*")] = ExportOptions(),
) -> None:
    """Write a network as one ONNX file, which QGIS plugins and other programs run.

    Parameters
    ----------
    model:
        Model directory, or the name of a ready model that was fetched.
    out:
        .onnx file to write; beside the model and named like it when not given.
    """
    _print([export_model(model, out, options=options)])


GRACE_S = 8.0
"""How long an interrupted program may go on with a window or a file that takes long."""
INTERRUPTED = "interrupted; the same command goes on where this one stopped"


class Terminated(KeyboardInterrupt):
    """The system asked the program to end."""


def main() -> None:
    """Run the program and leave with its exit code."""
    signal.signal(signal.SIGTERM, _terminate)
    if signal.getsignal(signal.SIGINT) is not signal.SIG_IGN:
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(_main(sys.argv[1:]))


def _terminate(*_: object) -> None:
    _end_soon(143)
    raise Terminated


def _interrupt(*_: object) -> None:
    _end_soon(130)
    raise KeyboardInterrupt


def _end_soon(code: int) -> None:
    """Threads in a network or in GDAL cannot be stopped; a kill loses no more than they hold."""
    timer = threading.Timer(GRACE_S, _end_now, [code])
    timer.daemon = True
    timer.start()


def _end_now(code: int) -> None:
    print(f"geoseg: {INTERRUPTED}", file=sys.stderr, flush=True)
    os._exit(code)


def _main(arguments: list[str]) -> int:
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    logging.basicConfig(
        level=logging.WARNING,
        format="%(message)s",
        stream=sys.stderr,
    )
    warnings.filterwarnings("ignore", message="Dataset has no geotransform")
    logging.getLogger("geoseg").setLevel(logging.DEBUG if debug else logging.INFO)
    try:
        return _answer(arguments)
    except KeyboardInterrupt as error:
        code = 143 if isinstance(error, Terminated) else 130
        return _fail(INTERRUPTED, code, debug)
    except GeosegError as error:
        return _fail(f"{type(error).__name__}: {error}", error.exit_code, debug)
    except CycloptsError as error:
        return _fail(_usage(error), 2, debug)
    except MemoryError:
        return _fail(
            "out of memory: use a smaller --window or --region, or fewer workers", 3, debug
        )
    except Exception as error:
        hint = "this is a bug in geoseg; --debug shows where"
        return _fail(f"{type(error).__name__}: {error} ({hint})", 1, debug)


def _answer(arguments: list[str]) -> int:
    """The exit code; that a reader has seen enough, as `head` has, is no error."""
    try:
        result = app(arguments, exit_on_error=False, print_error=False)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141
    return result if isinstance(result, int) else 0


def _fail(message: str, code: int, debug: bool) -> int:
    if debug:
        logging.getLogger("geoseg").exception("")
    print(f"geoseg: {message}", file=sys.stderr)
    return code


def _usage(error: CycloptsError) -> str:
    cause = error.__cause__ or error.__context__
    if isinstance(cause, ValidationError):
        each = cause.errors()[0]
        flag = "--" + "-".join(str(part) for part in each["loc"]).replace("_", "-")
        return f"{flag}: {complaint(each)}; got {each['input']}"
    return " ".join(str(error).split())


def _print(paths: Iterable[Path]) -> None:
    for path in paths:
        print(path)
