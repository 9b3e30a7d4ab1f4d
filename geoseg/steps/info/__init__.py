"""Report what geoseg sees in rasters, vector files, chip sets, models and maps."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from geoseg.errors import GeosegError, InputError, UnsafeError
from geoseg.problems import Problem
from geoseg.progress import track
from geoseg.steps.info.entry import Entry, entry, plain, unknown
from geoseg.steps.info.entry_text import describe
from geoseg.steps.info.options import InfoOptions

__all__ = ["InfoOptions", "describe", "info", "unreadable"]

BROKEN = ("corrupt", "truncated")
REMOTE = re.compile(r"/vsi|[A-Za-z][A-Za-z0-9+.-]+:/")
"""One slash, because that is what a Path makes of https://; two letters, because C:/ is a disk."""


def info(
    paths: str | Path | Iterable[str | Path], *, options: InfoOptions | None = None
) -> list[dict[str, Any]]:
    """Report what files are, and everything about them that could spoil a result.

    A file that cannot be read raises no exception: it becomes an entry of the kind "unknown"
    whose problem gives the reason.

    Args:
        paths: files, folders, or patterns such as ``2024/*.tif``.
        options: how closely to look.

    Returns:
        One entry per path, made of JSON values: path, kind (raster, vector, chips, model, map,
        scene or unknown), driver, crs, width, height, bands (their number), dtype, nodata, and
        problems, each with code, level ("error": geoseg refuses it, "warning": results may be
        wrong, "note"), message and fix. What does not apply is None; further keys depend on the
        kind.

    Example:
        >>> import geoseg
        >>> entry, missing = geoseg.info(["scene.tif", "nowhere.tif"])
        >>> entry["kind"], entry["width"], entry["crs"]
        ('raster', 256, 'EPSG:32633')
        >>> missing["kind"], missing["problems"][0]["code"]
        ('unknown', 'missing')
    """
    options = options or InfoOptions()
    given = [paths] if isinstance(paths, str | Path) else paths
    found = [each for path in given for each in _expand(str(path))]
    shown = track(found, label="looking", total=len(found))
    return [plain(_entry_or_reason(path, options)) for path in shown]


def unreadable(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    """The paths of entries that could not be read; with any, the command exits with 2."""
    return [each["path"] for each in entries if any(_stops(each, row) for row in each["problems"])]


def _stops(each: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
    return row["code"] in BROKEN or (each["kind"] == "unknown" and row["level"] == "error")


def _expand(path: str) -> list[str]:
    if not glob.has_magic(path) or Path(path).exists():
        return [path]
    return sorted(glob.glob(path, recursive=True)) or [path]


def _entry_or_reason(path: str, options: InfoOptions) -> Entry:
    try:
        return _entry(path, options)
    except GeosegError as error:
        return unknown(path, error)
    except (OSError, ValueError) as error:  # such as a name with a null character
        return unknown(path, InputError("cannot be read", where=path, got=error))


def _entry(path: str, options: InfoOptions) -> Entry:
    if REMOTE.match(path):
        raise UnsafeError("only local files are read", got=path, fix="download it first")
    there = Path(path)
    if not there.exists():
        text = f"is not there; got current folder {Path.cwd()}"
        return entry(path, "unknown", [Problem("missing", "error", text, "check the path")])
    if there.is_dir() or there.suffix.lower() in (".yaml", ".yml", ".onnx"):
        from geoseg.steps.info.folders import folder_entry

        return folder_entry(there, deep=options.deep)
    from geoseg.steps.info.formats import file_entry

    return file_entry(there, deep=options.deep)
