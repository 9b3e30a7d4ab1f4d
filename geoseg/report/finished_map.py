"""The page of a finished map: its content, and report.html."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from geoseg import files
from geoseg.layout import (
    CLASSES,
    CONFIDENCE,
    FAILED,
    PROBABILITIES,
    PROJECT,
    RECORD,
    REPORT_PAGE,
    STAC_ITEM,
    TILES,
)
from geoseg.maps.contents import Contents
from geoseg.maps.links import href
from geoseg.raster import FileSource
from geoseg.report.accuracy_file import read_accuracy
from geoseg.report.map_tiles import write_tiles
from geoseg.report.mercator_frame import frame_of
from geoseg.report.page import render_page
from geoseg.report.page_content import PageContent
from geoseg.report.pictures import MOST_PX

DESCRIPTIONS = {
    CLASSES: "class raster", CONFIDENCE: "confidence, in percent",
    PROBABILITIES: "probability of each class, in percent", TILES: "class raster, for web maps",
    PROJECT: "QGIS project",
    STAC_ITEM: "STAC item", RECORD: "record of the run",
}  # fmt: skip


def write_page(contents: Contents, accuracy: Path | None, *, tiles: bool) -> list[Path]:
    """Write report.html beside a map and, if asked for, tiles of a map too large for a picture.

    Args:
        contents: the map.
        accuracy: accuracy report; None to look for one beside and above the map.
        tiles: whether to write classes.pmtiles for a map larger than its picture.

    Returns:
        The files written.

    Raises:
        InputError: the accuracy report is about another map, or is not one.
        OutputError: the folder cannot be written to.
        RetryError: the disk is full.
    """
    page, pmtiles = contents.folder / REPORT_PAGE, contents.folder / TILES
    written = [page]
    frame = frame_of(contents.geobox, MOST_PX)
    if tiles and frame is not None and frame.shrunk > 1:
        write_tiles(pmtiles, FileSource(contents.folder / CLASSES), contents.scheme, frame)
        written.append(pmtiles)
    files.write_bytes(page, render_page(page_content(contents, accuracy)).encode())
    return written


def page_content(contents: Contents, accuracy: Path | None = None) -> PageContent:
    """Gather the content of a finished map's page.

    Args:
        contents: the map.
        accuracy: accuracy report; None to look for one beside and above the map.

    Raises:
        InputError: the accuracy report is about another map, or is not one.
    """
    report, doubts = read_accuracy(contents, accuracy)
    # GeoParquet only where there is nothing else: it is read as a whole, the others in part.
    polygons = sorted(contents.polygons, key=lambda layer: layer.driver == "Parquet")
    return PageContent(
        title=contents.title,
        scheme=contents.scheme,
        classes=FileSource(contents.folder / CLASSES),
        imagery=contents.imagery,
        polygons=polygons[0] if polygons else None,
        record=contents.record,
        accuracy=report,
        files=dict(_files(contents)),
        warnings=(*doubts, *_warnings(contents)),
        credits=contents.description.credits,
    )


def _files(contents: Contents) -> Iterator[tuple[str, str]]:
    """URLs relative to the map's folder, with descriptions."""
    for name, description in DESCRIPTIONS.items():
        if (contents.folder / name).is_file():
            yield name, description
    for each in contents.polygons:
        yield href(each.path, contents.folder), "polygons"


def _warnings(contents: Contents) -> Iterator[str]:
    if contents.imagery is None:
        yield "The scene was not found or cannot be shown, so the page shows the map alone."
    if not contents.polygons:
        yield "There are no polygons of this map: geoseg vectorize makes them."
    if contents.record is None:
        yield f"There is no readable {RECORD}: what this map was made from is unknown."
    if (contents.folder / FAILED).is_file():
        yield f"Some regions failed and were not mapped: {FAILED} lists them."
