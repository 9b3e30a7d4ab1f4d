"""The parts that a map is made of: one file each, which holds all layers of some of its pixels."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import files
from geoseg.grid import Window
from geoseg.raster.cog import encode_part


class MapPart(Protocol):
    """A task that makes one part of a map."""

    @property
    def name(self) -> str:
        """File name of the part."""
        ...

    @property
    def area(self) -> Window:
        """The pixels of the part."""
        ...


def rows_and_columns(area: Window) -> str:
    """Where an area lies, for people.

    Example:
        >>> rows_and_columns(Window(0, 512, 512, 88))
        'rows 0-512, columns 512-600'
    """
    stop_row, stop_col = area.stop
    return f"rows {area.row}-{stop_row}, columns {area.col}-{stop_col}"


def write_part(
    path: Path,
    values: NDArray[np.uint8],
    geobox: GeoBox,
    *,
    mapped: int,
    skipped: int,
    unchanged: int = 0,
    content: str = "",
) -> tuple[str, dict[str, Any]]:
    """Write a part, whole or not at all.

    Args:
        path: the file.
        values: (layers, height, width): class ids, confidence in percent, and so on.
        geobox: the grid of these pixels.
        mapped: windows that were mapped.
        skipped: windows without a pixel to map.
        unchanged: windows taken from the previous map.
        content: hash of the pixels that the part was made from.

    Returns:
        The file's sha256, and the facts that go into the ledger: the numbers given, and how many
        pixels each class id has.
    """
    pixels = np.bincount(values[0].ravel(), minlength=256)
    return files.write_bytes(path, encode_part(values, geobox)), {
        "mapped": mapped,
        "skipped": skipped,
        "unchanged": unchanged,
        "pixels": {int(value): int(pixels[value]) for value in np.flatnonzero(pixels)},
        "content": content,
    }
