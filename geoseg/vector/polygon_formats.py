"""Which polygon files may be opened, decided by their first bytes and never by their name."""

from __future__ import annotations

import re
from pathlib import Path

from geoseg.errors import UnsafeError, VectorError

FORMATS = "GeoPackage, GeoJSON, FlatGeobuf, Shapefile or GeoParquet"
JSON = ("GeoJSON", "GeoJSONSeq")
"""A list of features, and one feature per line; GDAL finds out which of both a file is."""
RECORD_SEPARATOR = b"\x1e"
"""May stand before each feature of a sequence (RFC 8142, GeoJSON Text Sequences)."""
GEOPACKAGE_IDS = (b"GPKG", b"GP10", b"GP11")
"""SQLite application ids of GeoPackage 1.2 and later, 1.0 and 1.1."""
APPLICATION_ID = slice(68, 72)
"""Where the header of an SQLite database holds it (https://www.sqlite.org/fileformat2.html)."""
CODE = (b"<OGRVRTDataSource", b"gdal_streamed_alg")
"""Marks of descriptions that make GDAL open other files, addresses included, or run a pipeline."""
HEAD_BYTES = 4096
SHAPEFILE_PARTS = (".shx", ".dbf", ".prj")
"""Index, attributes and CRS; GDAL would open a file without them, and guess."""


def driver_of(path: Path) -> str:
    """The driver that may open a polygon file: a GDAL driver, or "Parquet".

    Raises:
        VectorError: the file is missing, empty, or of no accepted format; a Shapefile without all
            of its parts.
        UnsafeError: remote, or a file that makes GDAL open or run something else.
    """
    head = _head(path)
    if any(mark in head for mark in CODE):
        raise UnsafeError(
            "makes GDAL open or run something else",
            where=path,
            fix="convert what it describes to a GeoPackage, with ogr2ogr",
        )
    if head.startswith(b"SQLite format 3\0"):
        if head[APPLICATION_ID] not in GEOPACKAGE_IDS:
            raise VectorError("is a database, but no GeoPackage", where=path, wanted=FORMATS)
        return "GPKG"
    if head.startswith(b"fgb"):
        return "FlatGeobuf"
    if head.startswith(b"PAR1"):
        return "Parquet"
    if head.startswith(b"\0\0\x27\x0a"):
        _check_shapefile(path)
        return "ESRI Shapefile"
    if head.lstrip(b"\xef\xbb\xbf \t\r\n" + RECORD_SEPARATOR).startswith(b"{"):
        return "GeoJSON"
    raise VectorError(
        "is not a polygon file geoseg reads",
        where=path,
        got=f"a file that starts with {head[:8]!r}",
        wanted=FORMATS,
        fix="unzip it first" if head.startswith(b"PK") else "convert it, or fetch it again",
    )


def check_driver(path: Path, found: str, wanted: str) -> None:
    """Check that GDAL opened a file with the driver that its first bytes call for.

    Raises:
        UnsafeError: it chose another one.
    """
    if found != wanted and not {found, wanted} <= {*JSON}:
        raise UnsafeError("opens with another driver", where=path, got=found, wanted=wanted)


def _head(path: Path) -> bytes:
    # At least two letters before the colon, so that C:/labels.gpkg is a file.
    if re.match(r"/vsi|<|\{|[A-Za-z][A-Za-z0-9+.-]+:/", str(path)):
        raise UnsafeError("only local files are read", got=path, fix="download it first")
    try:
        with path.open("rb") as stream:
            head = stream.read(HEAD_BYTES)
    except OSError as error:
        raise VectorError("cannot be read", where=path, got=error.strerror) from error
    if not head:
        raise VectorError("is empty (0 bytes)", where=path, fix="fetch it again")
    return head


def _check_shapefile(path: Path) -> None:
    there = {each.suffix.lower() for each in path.parent.glob(f"{path.stem}.*")}
    missing = [part for part in SHAPEFILE_PARTS if part not in there]
    if missing:
        raise VectorError(
            "the Shapefile is not complete",
            where=path,
            got=f"no {', '.join(path.stem + part for part in missing)}",
            fix="copy all files of that name, or export it as a GeoPackage",
        )
