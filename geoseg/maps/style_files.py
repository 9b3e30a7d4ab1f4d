"""Style files beside the files of a map, under the names by which programs find them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from geoseg import files, style
from geoseg.layout import CLASSES, CONFIDENCE, gdal_sidecar
from geoseg.maps.contents import Contents


def write_styles(contents: Contents) -> list[Path]:
    """Write QML and SLD beside rasters and polygons, and the attribute table if it is missing.

    Existing styles are replaced, also those that were edited: running `publish` again is how a
    changed class file reaches them.

    Returns:
        The files written.

    Raises:
        OutputError: a folder cannot be written to.
        RetryError: the disk is full.
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
    table = gdal_sidecar(folder / CLASSES)
    if not table.is_file():  # GDAL keeps statistics there too, which are not to be lost
        yield table, style.raster_pam(scheme, _pixel_counts(contents))
    if CONFIDENCE in contents.rasters:
        yield folder / "confidence.qml", style.confidence_qml()
        yield folder / "confidence.sld", style.confidence_sld("confidence")
    # QGIS looks for map.qml beside map.gpkg and beside map.fgb: one style for both.
    by_stem = {layer.path.with_suffix("").resolve(): layer for layer in contents.polygons}
    for layer in by_stem.values():
        yield layer.path.with_suffix(".qml"), style.polygons_qml(scheme)
        name = layer.name or layer.path.stem
        yield layer.path.with_suffix(".sld"), style.polygons_sld(scheme, name)


def _pixel_counts(contents: Contents) -> dict[int, int] | None:
    """Pixels by class id, where the run has counted them."""
    pixels = contents.record and contents.record.counts.get("pixels")
    names = contents.scheme.names
    return {names.index(name): count for name, count in pixels.items()} if pixels else None
