"""Is a file a raster or a vector layer? Its first bytes say, never its name."""

from __future__ import annotations

from pathlib import Path

from geoseg.errors import RasterError, VectorError
from geoseg.raster import drivers
from geoseg.steps.info.entry import Entry, entry, problem
from geoseg.steps.info.raster_entry import raster_entry
from geoseg.steps.info.vector_entry import vector_entry
from geoseg.vector import layer

PARTS = {
    ".shp": (".shx", ".dbf", ".prj", ".cpg", ".qpj", ".qix", ".sbn", ".sbx", ".qmd"),
    ".tif": (".tfw", ".wld", ".qml"),
    ".gpkg": (".gpkg-wal", ".gpkg-shm", ".gpkg-journal", ".qml"),
}
SIDECARS = (".aux.xml", ".ovr", ".msk")
VECTOR_SUFFIXES = (
    ".gpkg", ".geojson", ".json", ".geojsonl", ".geojsons", ".ndjson", ".fgb", ".parquet", ".shp",
)  # fmt: skip


def look_at(path: Path, *, deep: bool) -> Entry:
    """Describe a file.

    Raises:
        RasterError, VectorError: it is neither, or broken; by its name, as what it meant to be.
        UnsafeError: it would make GDAL open or run something else.
    """
    owner = _owner(path)
    if owner is not None:
        row = problem("sidecar", "note", f"belongs to {owner.name}", f"geoseg info {owner}")
        return entry(path, "unknown", [row])
    try:
        driver = drivers.driver_of(path)
    except RasterError as not_a_raster:
        try:
            driver = layer.driver_of(path)
        except VectorError as not_a_vector:
            meant = not_a_vector if path.suffix.lower() in VECTOR_SUFFIXES else not_a_raster
            raise meant from None
        return vector_entry(path, driver, deep=deep)
    return raster_entry(path, driver, deep=deep)


def _owner(path: Path) -> Path | None:
    """The file that a sidecar belongs to, where that stands beside it."""
    for end in SIDECARS:
        if path.name.endswith(end) and path.with_name(path.name.removesuffix(end)).is_file():
            return path.with_name(path.name.removesuffix(end))
    for suffix, parts in PARTS.items():
        if path.suffix.lower() in parts and path.with_suffix(suffix).is_file():
            return path.with_suffix(suffix)
    return None
