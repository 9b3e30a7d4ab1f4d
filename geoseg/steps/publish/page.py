"""The page that shows a map: report.html."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.errors import InputError
from geoseg.maps.contents import CLASSES, CONFIDENCE, PROBABILITIES, RECORD, Contents
from geoseg.metadata.facts import href
from geoseg.metadata.stac import ITEM
from geoseg.qgis.project import PROJECT
from geoseg.report import Subject, page_of

logger = logging.getLogger(__name__)
PAGE, TILES = "report.html", "classes.pmtiles"
ACCURACY = "report.json"
"""What `geoseg evaluate --json` has said, where a pipeline puts it."""
FAILED = "failed.json"
BESIDE = {
    CLASSES: "class raster", CONFIDENCE: "confidence, in percent",
    PROBABILITIES: "probability of each class, in percent", TILES: "class raster, for web maps",
    PROJECT: "QGIS project",
    ITEM: "STAC item", RECORD: "record of the run",
}  # fmt: skip


def write_page(contents: Contents) -> list[Path]:
    """Write report.html beside a map, and if asked for, tiles of one too large for its picture.

    Returns:
        The files.

    Raises:
        InputError: the accuracy report the options name is none.
    """
    from geoseg.raster import FileSource
    from geoseg.report.map_tiles import write_tiles
    from geoseg.report.mercator_frame import frame_of
    from geoseg.report.pictures import MOST_PX

    path, tiles = contents.folder / PAGE, contents.folder / TILES
    made = [path]
    frame = frame_of(contents.geobox, MOST_PX)
    if contents.options.tiles and frame is not None and frame.shrunk > 1:
        write_tiles(tiles, FileSource(contents.folder / CLASSES), contents.scheme, frame)
        made.append(tiles)
    files.write_bytes(path, page_of(subject_of(contents)).encode())
    return made


def subject_of(contents: Contents) -> Subject:
    """A finished map as its page shows it."""
    from geoseg.raster import FileSource

    accuracy, doubts = _accuracy(contents)
    polygons = sorted(contents.polygons, key=lambda layer: layer.driver == "Parquet")
    return Subject(
        title=contents.title,
        scheme=contents.scheme,
        classes=FileSource(contents.folder / CLASSES),
        imagery=contents.imagery,
        polygons=polygons[0] if polygons else None,
        record=contents.record,
        accuracy=accuracy,
        files=dict(_files(contents)),
        warnings=(*doubts, *_missing(contents)),
        credits=contents.options.credits,
    )


def _files(contents: Contents) -> Iterator[tuple[str, str]]:
    """Addresses, seen from the map's folder, and what is there."""
    for name, what in BESIDE.items():
        if (contents.folder / name).is_file():
            yield name, what
    for each in contents.polygons:
        yield href(each.path, contents.folder), "polygons"


def _missing(contents: Contents) -> Iterator[str]:
    if contents.imagery is None:
        yield "The scene was not found, or cannot be shown: this page has the map alone."
    if not contents.polygons:
        yield "There are no polygons of this map: geoseg vectorize makes them."
    if contents.record is None:
        yield f"There is no {RECORD} that can be read: nobody knows what this map was made from."
    if (contents.folder / FAILED).is_file():
        yield f"Some regions failed and were not mapped: {FAILED} names them."


def _accuracy(contents: Contents) -> tuple[Mapping[str, Any] | None, list[str]]:
    """What an evaluation has said about this very map, and why another's was left out."""
    given = contents.options.accuracy
    if given is not None:
        return _read(given, contents), []
    for folder in (contents.folder, contents.folder.parent, contents.folder.parent.parent):
        path = folder / ACCURACY
        if path.is_file():
            try:
                found = _read(path, contents)
            except InputError as error:
                logger.info("%s", error)
                continue
            if _is_older(path, contents):
                return None, [f"{path.name} is older than the map, and was left out."]
            return found, []
    return None, []


def _read(path: Path, contents: Contents) -> Mapping[str, Any]:
    """An accuracy report.

    Raises:
        InputError: it is none, or one of other classes or another map.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        names = tuple(each["name"] for each in found["classes"])
        maps = [_folder(Path(each["map"])) for each in found.get("scenes", ())]
        _ = found["miou"], found["overall_accuracy"], found["n_pixels"], found["majority"]["miou"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(
            "is no accuracy report", where=path, got=error, fix="geoseg evaluate --json > it"
        ) from error
    if names != contents.scheme.names:
        raise InputError(
            "is about other classes",
            where=path, got=", ".join(map(str, names)), wanted=", ".join(contents.scheme.names),
        )  # fmt: skip
    if maps and contents.folder.resolve().name not in maps:
        raise InputError("is about another map", where=path, got=", ".join(maps))
    return dict(found)


def _folder(path: Path) -> str:
    """Name of the map's folder, whichever of its files was evaluated."""
    return path.resolve().parent.name if path.suffix else path.resolve().name


def _is_older(path: Path, contents: Contents) -> bool:
    if contents.record is None or not contents.record.finished:
        return False
    written = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    return written < datetime.fromisoformat(contents.record.finished)
