"""The points of a sample as people return them: none copied, moved or added."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely

from geoseg.errors import InputError

NEAR = 1e-9
"""Coordinates are equal to this share: 5 mm of 5000 km."""
LISTED = 8


ENVELOPE_BYTES = (0, 32, 48, 48, 64)
"""Of a GeoPackage's geometry, by the code in its flags; 8 bytes of header stand before it."""

type Row = tuple[int, int | None, Any, bytes]
"""The row's number, the point's, the reference, and the geometry as the GeoPackage stores it."""


def points_of(
    rows: Sequence[Row], drawn: Mapping[int, tuple[float, float]], where: Path
) -> dict[int, Any]:
    """What is filled in for each point.

    Args:
        rows: the rows of the layer.
        drawn: x and y of each point that was drawn.
        where: the GeoPackage, for errors.

    Returns:
        The references by point number, None where there is none; without points that were deleted.

    Raises:
        InputError: rows were copied, moved or added; names them.
    """
    often = Counter(point for _, point, _, _ in rows)
    added = [row for row in rows if row[1] not in drawn]
    _refuse(added, "rows are of no point that was drawn", where)
    copied = [row for row in rows if often[row[1]] > 1]
    _refuse(copied, "rows share a point with another one", where)
    moved = [row for row in rows if not _lies_at(row[3], drawn[row[1] or 0])]
    _refuse(moved, "points were moved", where)
    return {point: reference for _, point, reference, _ in rows if point is not None}


def _lies_at(geometry: bytes | None, place: tuple[float, float]) -> bool:
    if geometry is None:
        return False
    start = 8 + ENVELOPE_BYTES[geometry[3] >> 1 & 7]
    there = shapely.get_coordinates(shapely.from_wkb(geometry[start:]))
    return len(there) == 1 and bool(np.isclose(there[0], place, rtol=NEAR, atol=NEAR).all())


def _refuse(rows: Sequence[Row], what: str, where: Path) -> None:
    if not rows:
        return
    named = [f"fid {fid} (point {point})" for fid, point, _, _ in rows[:LISTED]]
    more = f" and {len(rows) - LISTED} more" if len(rows) > LISTED else ""
    raise InputError(
        f"{len(rows)} {what}",
        where=where,
        got=", ".join(named) + more,
        wanted="each point once, where it was drawn",
        fix="delete the copies in its layer sample, or undo the edit",
    )
