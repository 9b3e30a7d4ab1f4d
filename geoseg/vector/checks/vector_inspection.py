"""The checks of a vector file put together, layer by layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from geoseg.errors import GeosegError, UnsafeError
from geoseg.gdal_messages import collect_messages
from geoseg.problems import Problem, problem_from, worst_first
from geoseg.vector.checks.layer_facts import LayerFacts, may_have_curves, read_layer
from geoseg.vector.checks.layer_problems import layer_problems
from geoseg.vector.layer import layer_names, open_layer
from geoseg.vector.polygon_formats import driver_of

MAX_LAYERS = 20
UNFINISHED = ("-journal", "-wal")
"""Files in which SQLite keeps changes before they are part of the database."""


@dataclass(frozen=True)
class VectorInspection:
    """What an inspection of a vector file finds.

    Attributes:
        driver: the GDAL driver that opens the file, or "Parquet".
        layers: the facts of its layers, at most `MAX_LAYERS`.
        problems: everything that labels should not have, in the order of the checks.
    """

    driver: str
    layers: tuple[LayerFacts, ...]
    problems: tuple[Problem, ...]


def inspect_vector(path: Path, *, deep: bool = False) -> VectorInspection:
    """Check a vector file, and read its facts on the way.

    Args:
        path: the file.
        deep: read all features of each layer instead of the first 50 000.

    Raises:
        VectorError: the file is missing, of no accepted format, or cannot be read.
        UnsafeError: the file would make GDAL open or run something else.
    """
    driver = driver_of(path)
    with collect_messages():
        names = (None,) if driver == "Parquet" else layer_names(path)
        inspected = [_inspect_layer(path, driver, each, deep=deep) for each in names[:MAX_LAYERS]]
    found = [problem for _, problems in inspected for problem in problems]
    if len(names) > 1:
        listed = ", ".join(str(name) for name in names[:MAX_LAYERS])
        text = f"it has {len(names)} layers: {listed}"
        found.append(Problem("several-layers", "warning", text, "name one: --layer"))
    if not names:
        found.append(Problem("no-layer", "error", "it has no layer with geometries"))
    if driver == "GPKG" and any(Path(f"{path}{end}").exists() for end in UNFINISHED):
        text = "unfinished changes lie beside it: another program has it open, or crashed"
        fix = "close it there, or open and save it in QGIS"
        found.append(Problem("journal", "warning", text, fix))
    return VectorInspection(driver, tuple(facts for facts, _ in inspected), tuple(found))


def problems_of(path: Path, *, deep: bool = False) -> list[Problem]:
    """Everything about a vector file that labels should not have, worst first.

    Args:
        path: the file.
        deep: read all features of each layer instead of the first 50 000.

    Raises:
        VectorError: the file is missing, of no accepted format, or cannot be read.
        UnsafeError: the file would make GDAL open or run something else.
    """
    return worst_first(inspect_vector(path, deep=deep).problems)


def _inspect_layer(
    path: Path, driver: str, name: str | None, *, deep: bool
) -> tuple[LayerFacts, list[Problem]]:
    """A layer's facts, and problems: those that `read_polygons` refuses or repairs."""
    refused = None
    try:
        open_layer(path, name)
    except UnsafeError:
        raise
    except GeosegError as error:
        refused = error
    facts, geometries = read_layer(path, driver, name, deep=deep)
    found = layer_problems(facts, geometries)
    if may_have_curves(path, driver, name):
        text = "its geometries may be curves, which are read as polygons of short lines"
        found.append(Problem("curves", "note", text, "ogr2ogr -nlt CONVERT_TO_LINEAR"))
    # Where a check found an error, it is the cause of the refusal, and has counts.
    if refused and not any(each.level == "error" for each in found):
        found.append(problem_from(refused, path, "unusable"))
    return facts, found
