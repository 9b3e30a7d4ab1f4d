"""Say how right a map is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import Field

from geoseg.errors import OutputError
from geoseg.options import Options

__all__ = ["EvaluateOptions", "draw_sample", "evaluate"]


class EvaluateOptions(Options):
    """Options of `evaluate`.

    Example:
        >>> import geoseg
        >>> options = geoseg.EvaluateOptions(chips="chips", objects=["water"])
        >>> report = geoseg.evaluate("map", "labels.gpkg", options=options)
        >>> [row["name"] for row in report["classes"]]
        ['land', 'water']
    """

    chips: Path | None = None
    """Chip directory; of the scenes it was cut from, only the blocks it held out are counted."""

    split: Literal["test", "val", "train"] = "test"
    """Which of its splits."""

    area: Path | None = None
    """Polygons; only pixels whose centre they cover are counted."""

    classes: Path | None = None
    """Class file, for a map that does not carry its classes."""

    like: Path | None = None
    """Raster on whose grid polygons are compared with polygons."""

    column: str | None = None
    """Attribute of the truth with the label code; the class file's by default."""

    layer: str | None = None
    """Layer of the truth, where it has several."""

    objects: tuple[str, ...] = ()
    """Classes whose patches are things one can count, such as building: are they found one by one?
    By default those with regularize: true in the class file. May be given several times."""

    boundary: int = Field(default=3, ge=1, le=256)
    """How many pixels on either side of an outline count for boundary IoU."""

    block: int | None = Field(default=None, ge=8)
    """Side in pixels of the blocks that intervals are made of; by default the chips' blocks, or
    512 px and less where that makes less than 30 blocks."""

    expect: tuple[str, ...] = ()
    """User's accuracy that a sample is planned for, as NAME=SHARE, such as building=0.7; 0.8 where
    nothing is said. May be given several times."""

    seed: int = Field(default=0, ge=0)
    """Seed of intervals and samples."""

    plots: Path | None = None
    """Folder for confusion.png and, where the map has a confidence, reliability.png."""


def evaluate(
    mapped: str | Path | Sequence[str | Path],
    truth: str | Path,
    *,
    options: EvaluateOptions | None = None,
) -> dict[str, Any]:
    """Compare maps with the truth, on each map's grid.

    Counted are pixels where the map has data and the truth is labelled; with ``chips`` or ``area``,
    only those held out. A sample that `draw_sample` has written, and somebody has filled in, is
    recognised: from it follow accuracy and areas of the whole map, with their standard errors.

    Args:
        mapped: a map directory, a class raster, or polygons with a class_id; several are counted
            together.
        truth: polygons, a label raster, a folder of label rasters, or a sample.
        options: what to count.

    Returns:
        {"miou", "overall_accuracy", "n_pixels", "classes": [{"id", "name", "iou", "f1",
        "precision", "recall", "support"}], "confusion", "majority", "confusion_m2", "warnings"}:
        shares of 1; None where a score is undefined; confusion matrices have the truth by row;
        "majority" is what a map that says the commonest class everywhere would score. Besides,
        with labels: "boundary", "objects", "intervals", "calibration", "scenes" and "blocks"; with
        a sample: "sample".

    Raises:
        InputError: map and truth cannot be compared; says why.
        OutputError: plots cannot be written.

    Example:
        >>> import geoseg
        >>> report = geoseg.evaluate("map", "labels.gpkg")
        >>> report["n_pixels"], round(report["overall_accuracy"], 2)
        (49152, 1.0)
    """
    from geoseg.samples.read_sample import is_sample, read_points
    from geoseg.steps.evaluate.accuracy_report import report_of, sample_report
    from geoseg.steps.evaluate.compare import compare

    options = options or EvaluateOptions()
    maps = _paths(mapped)
    if is_sample(Path(truth)):
        points = read_points(maps, Path(truth), options)
        report, scheme = sample_report(points), points.scheme
    else:
        comparison = compare(maps, str(truth), options)
        report, scheme = report_of(comparison, options), comparison.scheme
    if options.plots is not None:
        from geoseg.steps.evaluate.accuracy_plots import write_plots

        write_plots(options.plots, report, scheme)
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

    The layer ``sample`` of the file has an empty column ``reference`` to be filled with class
    names; QGIS offers them. What the map says stands in a table of its own, ``drawn``, so that
    nobody sees it while he looks; the size of each class is in ``strata``. `evaluate` with the
    filled file as truth gives accuracy and areas.

    Args:
        mapped: a map directory or class raster; several are one map in parts.
        out: the GeoPackage to write.
        points: how many.
        standard_error: of overall accuracy that the sample shall reach, where no number of points
            is given; follows from the user's accuracies in ``options.expect``.
        options: ``area``, ``classes``, ``expect`` and ``seed``.

    Returns:
        ``out``.

    Raises:
        ConfigError: neither points nor a standard error, or too few points.
        InputError: the maps cannot be drawn from.
        OutputError: the file is there already.

    Example:
        >>> import geoseg
        >>> geoseg.draw_sample("map", "sample.gpkg", points=100).name
        'sample.gpkg'
    """
    from geoseg.samples.draw import draw, plan, strata_of
    from geoseg.samples.write_sample import write_sample
    from geoseg.steps.evaluate.compare import open_alike

    out, options = Path(out), options or EvaluateOptions()
    if out.suffix.lower() != ".gpkg":
        raise OutputError("a sample is a GeoPackage", where=out, fix=f"-o {out.stem}.gpkg")
    if out.exists():
        raise OutputError("is there already", where=out, fix="choose another -o: it may be filled")
    strata = strata_of(open_alike(_paths(mapped), options), options)
    shares = plan(strata, points, standard_error, options)
    write_sample(out, draw(strata, shares, options.seed), strata)
    return out


def _paths(mapped: str | Path | Sequence[str | Path]) -> list[Path]:
    return [Path(each) for each in ([mapped] if isinstance(mapped, str | Path) else mapped)]
