"""Problems of input files, as values that any step can show, log or stop at.

An exception ends at the first thing that is wrong. Checks collect everything that could spoil a
result instead, so that a user can repair a file in one go.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, get_args

from geoseg.errors import GeosegError, UnsafeError

type Level = Literal["error", "warning", "note"]

LEVELS: tuple[Level, ...] = get_args(Level.__value__)
"""The worst first."""


@dataclass(frozen=True, slots=True)
class Problem:
    """Something about an input that could spoil a result.

    Attributes:
        code: a stable identifier for programs, in kebab case.
        level: "error" where geoseg refuses the input as it is, "warning" where results may be
            wrong, "note" for what is good to know.
        message: what was found, in one line for people.
        fix: the next move, as an imperative.

    Example:
        >>> problem = Problem("no-crs", "error", "it has no CRS", "pass --crs EPSG:32633")
        >>> problem.about("B02.tif").message
        'B02.tif: it has no CRS'
    """

    code: str
    level: Level
    message: str
    fix: str | None = None

    def about(self, name: str) -> Problem:
        """The same problem, with the name of the file (or fold) it was found in."""
        return replace(self, message=f"{name}: {self.message}")


def worst_first(problems: Iterable[Problem]) -> list[Problem]:
    """Problems sorted by level; those of one level keep their order."""
    return sorted(problems, key=lambda each: LEVELS.index(each.level))


def problem_from(error: GeosegError, path: str | Path, code: str | None = None) -> Problem:
    """An exception as a problem of ``path``.

    The message names a file only where the error lies in another one, such as a band of a scene.

    Args:
        error: the exception.
        path: the input that is being checked.
        code: the problem's code; "unsafe" or "unreadable" without one.
    """
    elsewhere = error.where is not None and str(error.where) != str(path)
    where = error.where if elsewhere else None
    # Without the fix, which has a field of its own.
    bare = type(error)(error.what, where=where, got=error.got, wanted=error.wanted)
    kind = "unsafe" if isinstance(error, UnsafeError) else "unreadable"
    return Problem(code or kind, "error", str(bare), error.fix)


def merge_files(found: Iterable[tuple[str, Iterable[Problem]]]) -> list[Problem]:
    """Report a problem that several files of one scene share only once.

    Args:
        found: name and problems of each file.

    Returns:
        One problem per code, worst first: that of the first file, and how many files have it too.

    Example:
        >>> flat = Problem("constant", "warning", "1 of 1 bands hold one value everywhere")
        >>> merge_files([("B02.tif", [flat]), ("B03.tif", [flat])])[0].message
        'B02.tif: 1 of 1 bands hold one value everywhere (and 1 more files)'
    """
    by_code: dict[str, list[Problem]] = {}
    for name, problems in found:
        for each in problems:
            by_code.setdefault(each.code, []).append(each.about(name))
    return worst_first(_counted(*each) for each in by_code.values())


def _counted(first: Problem, *others: Problem) -> Problem:
    if not others:
        return first
    return replace(first, message=f"{first.message} (and {len(others)} more files)")
