"""Tell rasters from vector files by their first bytes, never by their name."""

from __future__ import annotations

from pathlib import Path

from geoseg.errors import RasterError, VectorError
from geoseg.problems import Problem
from geoseg.raster import drivers
from geoseg.steps.info.entry import Entry, entry
from geoseg.steps.info.raster_entry import raster_entry
from geoseg.steps.info.vector_entry import vector_entry
from geoseg.vector import polygon_formats

PARTS = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx", ".qmd"),
    ".tif": (".tfw", ".wld", ".qml"),
    ".gpkg": (".gpkg-wal", ".gpkg-shm", ".gpkg-journal", ".qml"),
}
"""Extensions that replace that of the file."""
SIDECARS = (".aux.xml", ".ovr", ".msk")
"""Endings appended to the whole name of the file."""
VECTOR_SUFFIXES = (
    ".gpkg", ".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson", ".fgb", ".parquet", ".shp",
)  # fmt: skip


def file_entry(path: Path, *, deep: bool) -> Entry:
    """Describe a raster, a vector file, or a sidecar of one.

    Raises:
        RasterError: it is neither raster nor vector file, or a broken raster.
        VectorError: the same, for a file with the extension of a vector format.
        UnsafeError: it would make GDAL open or run something else.
    """
    owner = _owner(path)
    if owner is not None:
        text = f"belongs to {owner.name}"
        return entry(path, "unknown", [Problem("sidecar", "note", text, f"geoseg info {owner}")])
    try:
        drivers.driver_of(path)
    except RasterError as not_a_raster:
        try:
            polygon_formats.driver_of(path)
        except VectorError as not_a_vector:
            meant = not_a_vector if path.suffix.lower() in VECTOR_SUFFIXES else not_a_raster
            raise meant from None
        return vector_entry(path, deep=deep)
    return raster_entry(path, deep=deep)


def _owner(path: Path) -> Path | None:
    """The file that a sidecar belongs to, if it is in the same folder."""
    for end in SIDECARS:
        if path.name.endswith(end) and path.with_name(path.name.removesuffix(end)).is_file():
            return path.with_name(path.name.removesuffix(end))
    for suffix, parts in PARTS.items():
        if path.suffix.lower() in parts and path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    return None
