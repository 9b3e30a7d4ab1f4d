"""What `geoseg info` prints about one path: a dictionary of JSON values with its problems."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from geoseg.classes import ClassScheme
from geoseg.errors import GeosegError, UnsafeError

type Entry = dict[str, Any]
type Problem = dict[str, str | None]
type Kind = Literal["raster", "vector", "chips", "model", "map", "scene", "unknown"]
type Level = Literal["error", "warning", "note"]

ORDER: tuple[str | None, ...] = ("error", "warning", "note")


def entry(path: str | Path, kind: Kind, problems: list[Problem], **facts: Any) -> Entry:
    """An entry with every key that all kinds share; the problems come last, the worst first."""
    shared = dict.fromkeys(("driver", "crs", "width", "height", "bands", "dtype", "nodata"))
    return {"path": str(path), "kind": kind, **shared, **facts, "problems": ranked(problems)}


def ranked(problems: list[Problem]) -> list[Problem]:
    """Problems, the worst first."""
    return sorted(problems, key=lambda row: ORDER.index(row["level"]))


def problem(code: str, level: Level, message: str, fix: str | None = None) -> Problem:
    """A row of an entry's problems.

    Args:
        code: a stable name for programs, in kebab case.
        level: "error" where geoseg refuses the file as it is, "warning" where results may be
            wrong, "note" for what is good to know.
        message: what was found, for people.
        fix: the next move.
    """
    return {"code": code, "level": level, "message": message, "fix": fix}


def refusal(error: GeosegError, path: str | Path, code: str | None = None) -> Problem:
    """The row for an error; it names the file where that is another one than the entry's."""
    inside = error.where is not None and str(error.where) != str(path)
    where = error.where if inside else None
    bare = type(error)(error.what, where=where, got=error.got, wanted=error.wanted)
    return problem(code or _code(error), "error", str(bare), error.fix)


def unknown(path: str | Path, error: GeosegError) -> Entry:
    """The entry of what cannot be read."""
    return entry(path, "unknown", [refusal(error, path)])


def class_rows(scheme: ClassScheme) -> list[dict[str, Any]]:
    """Classes by id, for an entry."""
    return [{"name": each.name, "color": each.color} for each in scheme.classes]


def plain(value: Any) -> Any:
    """The same value in what JSON has: numbers of numpy become Python's, NaN becomes None."""
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
    """255 for 255.0, as a nodata value is written."""
    if value is None or not math.isfinite(value) or value % 1:
        return value
    return int(value)


def _code(error: GeosegError) -> str:
    if isinstance(error, UnsafeError):
        return "unsafe"
    return "missing" if error.what == "is not there" else "unreadable"
