"""An entry of `geoseg info`: the facts and problems of one path, as a dictionary."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal

from geoseg.classes import ClassScheme
from geoseg.errors import GeosegError
from geoseg.problems import Problem, problem_from, worst_first

type Entry = dict[str, Any]
type Kind = Literal["raster", "vector", "chips", "model", "map", "scene", "unknown"]


def entry(path: str | Path, kind: Kind, problems: Iterable[Problem], **facts: Any) -> Entry:
    """An entry with every key that all kinds share; the problems come last, the worst first."""
    shared = dict.fromkeys(("driver", "crs", "width", "height", "bands", "dtype", "nodata"))
    return {"path": str(path), "kind": kind, **shared, **facts, "problems": worst_first(problems)}


def unknown(path: str | Path, error: GeosegError) -> Entry:
    """The entry of a path that cannot be read."""
    return entry(path, "unknown", [problem_from(error, path)])


def class_rows(scheme: ClassScheme) -> list[dict[str, Any]]:
    """Name and colour of each class, by id."""
    return [{"name": each.name, "color": each.color} for each in scheme.classes]


def plain(value: Any) -> Any:
    """A value as JSON values: problems become dictionaries, numpy scalars numbers, NaN None."""
    if isinstance(value, Problem):
        return asdict(value)
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    if hasattr(value, "item"):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def whole_number(value: float | None) -> float | None:
    """255 for 255.0: nodata values read as people write them."""
    if value is None or not math.isfinite(value) or value % 1:
        return value
    return int(value)
