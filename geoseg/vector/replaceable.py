"""Whether a file of polygons may be replaced: geoseg wrote it, and nobody has it open."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyogrio

from geoseg.errors import InputError, OutputError
from geoseg.vector import geoparquet
from geoseg.vector.layer_errors import named_errors
from geoseg.vector.polygon_formats import driver_of

STYLES = "layer_styles"
SQLITE_FILES = ("-wal", "-shm", "-journal")
"""They stand beside a GeoPackage while a program has it open; a new file under them is broken."""


def check_replaceable(path: Path, columns: Iterable[str]) -> None:
    """Refuse to replace a file that holds anything but one layer with these columns.

    Args:
        path: the file; it need not exist.
        columns: attributes by which geoseg knows what it wrote.

    Raises:
        OutputError: the file holds something else, or another program has it open.
    """
    for ending in SQLITE_FILES:
        beside = path.with_name(path.name + ending)
        if beside.exists():
            raise OutputError(
                "another program has it open, or left changes in it",
                where=path,
                got=beside.name,
                fix="close it there, such as in QGIS; or choose another -o",
            )
    if not path.exists():
        return
    try:
        layers, fields = _content(path)
    except InputError as error:
        layers, fields = [error.what], set()
    if len(layers) > 1 or not fields.issuperset(columns):
        raise OutputError(
            "geoseg did not write this file, and does not replace it",
            where=path,
            got=", ".join(layers),
            fix="choose another -o, or remove the file first",
        )


def _content(path: Path) -> tuple[list[str], set[str]]:
    """The tables of a file but for QGIS's styles, and the attributes of the first."""
    if driver_of(path) == "Parquet":
        return [path.stem], set(geoparquet.read_metadata(path).fields)
    with named_errors(path):
        names = [str(name) for name, _ in pyogrio.list_layers(str(path)) if name != STYLES]
        fields = pyogrio.read_info(str(path), layer=names[0])["fields"] if names else []
    return names, set(map(str, fields))
