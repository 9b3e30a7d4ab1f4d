"""Styles beside the files of a map: what a program finds by the file's name."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from geoseg import files, style
from geoseg.maps.contents import CLASSES, CONFIDENCE, Contents


def write_styles(contents: Contents) -> list[Path]:
    """Write QML and SLD beside rasters and polygons, and the attribute table if it is missing.

    A style that somebody has changed since is replaced: `publish` was asked for the classes'.

    Returns:
        The files.
    """
    written = []
    for path, text in _styles(contents):
        files.write_bytes(path, text.encode())
        written.append(path)
    return written


def _styles(contents: Contents) -> Iterator[tuple[Path, str]]:
    folder, scheme = contents.folder, contents.scheme
    yield folder / "classes.qml", style.raster_qml(scheme)
    yield folder / "classes.sld", style.raster_sld(scheme, "classes")
    table = folder / f"{CLASSES}.aux.xml"
    if not table.is_file():
        yield table, style.raster_pam(scheme, _counts(contents))
    if CONFIDENCE in contents.rasters:
        yield folder / "confidence.qml", style.confidence_qml()
        yield folder / "confidence.sld", style.confidence_sld("confidence")
    for each in {
        layer.path.with_suffix("").resolve(): layer for layer in contents.polygons
    }.values():
        yield each.path.with_suffix(".qml"), style.polygons_qml(scheme)
        name = each.name or each.path.stem
        yield each.path.with_suffix(".sld"), style.polygons_sld(scheme, name)


def _counts(contents: Contents) -> dict[int, int] | None:
    """Pixels by class id, where the run has counted them."""
    pixels = contents.record and contents.record.counts.get("pixels")
    names = contents.scheme.names
    return {names.index(name): count for name, count in pixels.items()} if pixels else None
