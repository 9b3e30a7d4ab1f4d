"""Errors about polygon files, worded alike wherever they are noticed."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from geoseg.errors import VectorError

logger = logging.getLogger(__name__)
MAX_LISTED = 10


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn GDAL's errors into ones that name the file, and its warnings into log lines.

    Raises:
        VectorError: GDAL raised an error.
    """
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except (RuntimeError, UnicodeDecodeError, ValueError) as error:
            raise VectorError(
                "cannot be read", where=path, got=error, fix="repair it, or fetch it again"
            ) from error
    for each in caught:
        logger.info("%s: %s", path, each.message)


def broken_geometry(path: Path, numbers: list[Any], why: str) -> VectorError:
    """The error for features with a geometry that cannot be used.

    Args:
        path: the file.
        numbers: the numbers of those features.
        why: what is wrong with them, as a clause.
    """
    listed = ", ".join(str(number) for number in numbers[:MAX_LISTED])
    return VectorError(
        f"{len(numbers)} feature(s) have a broken geometry: {why}",
        where=path,
        got=f"feature {listed}",
        fix="repair or delete them",
    )


def no_polygons(path: Path, kind: object) -> VectorError:
    """The error for points and lines."""
    return VectorError(
        "labels have to be polygons",
        where=path,
        got=kind,
        fix="buffer points and lines to the area they stand for",
    )


def did_you_mean(name: str, known: tuple[str, ...]) -> str:
    """A fix that suggests the closest known name, or lists all of them."""
    close = get_close_matches(name, known, n=1)
    return f"did you mean {close[0]!r}?" if close else f"name one of: {', '.join(known)}"
