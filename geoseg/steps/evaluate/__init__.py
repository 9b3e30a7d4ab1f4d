"""Measure the accuracy of a map, and draw the samples that this takes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from geoseg.errors import ConfigError, OutputError
from geoseg.steps.evaluate.options import EvaluateOptions

__all__ = ["EvaluateOptions", "draw_sample", "evaluate"]


def evaluate(
    mapped: str | Path | Sequence[str | Path],
    truth: str | Path,
    *,
    options: EvaluateOptions | None = None,
) -> dict[str, Any]:
    """Compare maps with the truth, on each map's grid.

    Pixels are counted where the map has data and the truth is labelled; with ``chips`` or
    ``area``, only those held out. A filled-in sample from `draw_sample` is recognised: it gives
    accuracy and areas of the whole map, with their standard errors.

    Args:
        mapped: a map directory, a class raster, or polygons with a class_id; several are counted
            together.
        truth: polygons, a label raster, a folder of label rasters, or a sample.
        options: what to count.

    Returns:
        {"miou", "overall_accuracy", "n_pixels", "classes": [{"id", "name", "iou", "f1",
        "precision", "recall", "support"}], "confusion", "majority", "confusion_m2", "warnings"}.
        Scores are shares of 1, None where undefined; confusion matrices have the truth by row;
        "majority" is the score of a map with the commonest class everywhere. In addition, with
        labels: "boundary", "objects", "intervals", "calibration", "scenes" and "blocks"; with a
        sample: "sample".

    Raises:
        ConfigError: an option names no class, or polygons lack a class file or a grid.
        InputError: map and truth cannot be compared.
        OutputError: plots cannot be written.

    Example:
        >>> import geoseg
        >>> report = geoseg.evaluate("map", "labels.gpkg")
        >>> report["n_pixels"], round(report["overall_accuracy"], 2)
        (49152, 1.0)
    """
    from geoseg.samples.read_sample import is_sample, read_sample
    from geoseg.steps.evaluate.accuracy_report import labels_report, sample_report
    from geoseg.steps.evaluate.compare import compare, open_maps

    options, path = options or EvaluateOptions(), Path(truth)
    maps = open_maps(_paths(mapped), options, str(truth))
    if is_sample(path):
        report = sample_report(read_sample(path, maps))
    else:
        report = labels_report(compare(maps, str(truth), options), options)
    if options.plots is not None:
        from geoseg.steps.evaluate.accuracy_plots import write_plots

        write_plots(options.plots, report, maps[0].scheme)
    return report


def draw_sample(
    mapped: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    points: int | None = None,
    standard_error: float | None = None,
    options: EvaluateOptions | None = None,
) -> Path:
    """Draw points from maps, at random within each class, for people to look up.

    The file's layer ``sample`` has an empty column ``reference`` for class names, which QGIS
    offers as a list. The mapped classes are in a table of their own, ``drawn``, so that they do
    not sway whoever fills in the reference; the area of each class is in ``strata``. `evaluate`
    with the filled-in file as truth gives accuracy and areas.

    Args:
        mapped: a map directory or class raster; several are parts of one map.
        out: the GeoPackage to write.
        points: number of points.
        standard_error: standard error of overall accuracy to reach, such as 0.01, in place of a
            number of points; the accuracies in ``options.expect`` decide how many that takes.
        options: ``area``, ``classes``, ``expect`` and ``seed``.

    Returns:
        ``out``.

    Raises:
        ConfigError: neither points nor a standard error, too few points, or ``chips``.
        InputError: the maps cannot be sampled.
        OutputError: the file exists already, or cannot be written.

    Example:
        >>> import geoseg
        >>> geoseg.draw_sample("map", "sample.gpkg", points=100).name
        'sample.gpkg'
    """
    from geoseg.samples.draw import draw_points, measure_strata, plan_sample
    from geoseg.samples.write_sample import write_sample
    from geoseg.steps.evaluate.compare import open_maps

    out, options = Path(out), options or EvaluateOptions()
    if out.suffix.lower() != ".gpkg":
        raise OutputError("a sample is a GeoPackage", where=out, fix=f"-o {out.stem}.gpkg")
    if out.exists():
        raise OutputError(
            "exists already", where=out, fix="choose another -o: this one may be filled in"
        )
    if options.chips is not None:
        raise ConfigError(
            "a sample is drawn from the whole map", where="--chips", fix="limit it with --area"
        )
    strata = measure_strata(open_maps(_paths(mapped), options), options.area)
    shares = plan_sample(strata, points, standard_error, options.expect)
    write_sample(out, draw_points(strata, shares, options.seed), strata)
    return out


def _paths(mapped: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(each) for each in ([mapped] if isinstance(mapped, str | Path) else mapped)]
