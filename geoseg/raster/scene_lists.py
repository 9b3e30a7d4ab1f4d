"""Names that stand for several scenes: patterns, text files of scenes, STAC files."""

from __future__ import annotations

import glob
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from geoseg.errors import RasterError
from geoseg.raster.drivers import NOT_LOCAL
from geoseg.raster.stac_items import ItemScene
from geoseg.remote import is_remote

LIST = ".txt"
STAC = ".json"


def expand_path(text: str) -> Iterator[str | ItemScene]:
    """The scenes that a name stands for: those of a pattern, a list or a STAC file, or itself.

    Raises:
        RasterError: a pattern matches no file, or a list or a STAC file cannot be read.
    """
    path = Path(text)
    if NOT_LOCAL.match(text):  # an address may hold characters of a pattern
        yield text
    elif glob.has_magic(text) and not path.exists():
        yield from _matched(text)
    elif path.suffix.lower() == LIST:
        for line in _lines(path):
            yield from expand_path(line)
    elif path.suffix.lower() == STAC:
        yield from (ItemScene(path, content) for content in _items(path))
    else:
        yield text


def _matched(pattern: str) -> list[str]:
    matches = sorted(glob.glob(pattern, recursive=True))
    if not matches:
        raise RasterError(
            "the pattern matches no file", where=pattern, got=f"current folder {Path.cwd()}"
        )
    return matches


def _lines(path: Path) -> list[str]:
    """The scenes of a list; relative paths are relative to the list."""
    lines = [line.strip() for line in _text(path).splitlines()]
    named = [line for line in lines if line and not line.startswith("#")]
    if not named:
        raise RasterError("names no scene", where=path, wanted="a scene on each line")
    for line in named:
        # Lists of lists could go round in circles.
        if Path(line).suffix.lower() == LIST and not is_remote(line):
            raise RasterError("a list cannot name another list", where=path, got=line)
    return [line if NOT_LOCAL.match(line) else str(path.parent / line) for line in named]


def _items(path: Path) -> list[Any]:
    """The items in a STAC file, not validated; no link in them is followed."""
    try:
        content = json.loads(_text(path))
    except (ValueError, RecursionError) as error:
        raise RasterError("is not JSON", where=path, got=error) from error
    kind = content.get("type") if isinstance(content, Mapping) else None
    if kind == "Feature":
        return [content]
    features = content.get("features") if kind == "FeatureCollection" else None
    if not isinstance(features, list) or not features:
        raise RasterError(
            "holds no STAC items", where=path, got=kind, wanted="an Item or an ItemCollection"
        )
    return features


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8-sig")  # Windows editors put a BOM first
    except OSError as error:
        raise RasterError("cannot be read", where=path, got=error.strerror) from error
    except UnicodeDecodeError as error:
        raise RasterError("is not UTF-8 text", where=path) from error
