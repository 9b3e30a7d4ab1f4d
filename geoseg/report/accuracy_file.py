"""The accuracy report that belongs to a map."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geoseg.errors import InputError
from geoseg.layout import ACCURACY_REPORT
from geoseg.maps.contents import Contents

logger = logging.getLogger(__name__)


def read_accuracy(
    contents: Contents, given: Path | None
) -> tuple[Mapping[str, Any] | None, list[str]]:
    """Read the accuracy report of a map.

    A report that nobody named is taken only if it is about this map and not older: the figures of
    an earlier map would be believed.

    Args:
        contents: the map.
        given: the report; None to look for report.json beside the map and up to two folders above.

    Returns:
        The report, None without one, and sentences on one that was left out.

    Raises:
        InputError: the given report is about another map, or is not one.
    """
    if given is not None:
        return _read(given, contents), []
    for folder in (contents.folder, contents.folder.parent, contents.folder.parent.parent):
        path = folder / ACCURACY_REPORT
        if path.is_file():
            try:
                found = _read(path, contents)
            except InputError as error:
                logger.info("%s", error)
                continue
            if _is_older(path, contents):
                return None, [f"{path.name} is older than the map and was left out."]
            return found, []
    return None, []


def _read(path: Path, contents: Contents) -> Mapping[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(each["name"] for each in found["classes"])
        maps = [_folder_name(Path(each["map"])) for each in found.get("scenes", ())]
        _ = found["miou"], found["overall_accuracy"], found["n_pixels"], found["majority"]["miou"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "is not an accuracy report",
            where=path,
            got=error,
            fix="make one: geoseg evaluate MAP --truth LABELS --json > report.json",
        ) from error
    if names != contents.scheme.names:
        raise InputError(
            "is about other classes",
            where=path, got=", ".join(map(str, names)), wanted=", ".join(contents.scheme.names),
        )  # fmt: skip
    if maps and contents.folder.resolve().name not in maps:
        raise InputError("is about another map", where=path, got=", ".join(maps))
    return dict(found)


def _folder_name(path: Path) -> str:
    """Name of the map's folder, whether the folder or a file in it was evaluated.

    Names rather than paths are compared, so that a report stays valid when a map is moved.
    """
    return path.resolve().parent.name if path.suffix else path.resolve().name


def _is_older(path: Path, contents: Contents) -> bool:
    if contents.record is None or not contents.record.finished:
        return False
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return written < datetime.fromisoformat(contents.record.finished)
