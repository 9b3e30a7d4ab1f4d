"""A sample that somebody has filled in."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
from numpy.typing import NDArray

from geoseg import grid
from geoseg.accuracy import Confusion, Floats
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ClassError, InputError, VectorError
from geoseg.grid import Window
from geoseg.maps.sides import LandMap
from geoseg.steps.evaluate import EvaluateOptions
from geoseg.steps.evaluate.compare import open_alike

GEOPACKAGE = b"SQLite format 3\0"
NEEDED = {"sample", "drawn", "strata"}


@dataclass(frozen=True, eq=False)
class Points:
    """What a sample says.

    Attributes:
        scheme: the classes.
        counts: (classes, classes) points, reference by row, map class by column.
        area_m2: (classes,) what each class covers on the map.
        drawn: how many points there are, filled in or not.
    """

    scheme: ClassScheme
    counts: Confusion
    area_m2: Floats
    drawn: int


def is_sample(truth: Path) -> bool:
    """Whether a file is a sample that `draw_sample` has written."""
    if truth.suffix.lower() != ".gpkg" or not truth.is_file():
        return False
    with truth.open("rb") as stream:
        if stream.read(len(GEOPACKAGE)) != GEOPACKAGE:
            return False
    try:
        names = {row[0] for row in _rows(truth, "SELECT table_name FROM gpkg_contents")}
    except VectorError:
        return False
    return names >= NEEDED


def read_points(maps: Sequence[Path], truth: Path, options: EvaluateOptions) -> Points:
    """Read a sample back, and check that it was drawn from these maps.

    Raises:
        InputError: no point is filled in, or the map has changed since.
        ClassError: a reference is no class.
    """
    opened = open_alike(maps, options)
    scheme = opened[0].scheme
    rows = _rows(
        truth,
        "SELECT d.class_id, d.x, d.y, s.reference FROM drawn d "
        "LEFT JOIN sample s ON s.point = d.point ORDER BY d.point",
    )
    ids, x, y = (np.array(column) for column in list(zip(*rows, strict=True))[:3])
    _check_unchanged(opened, truth, ids, x, y)
    reference = _references([row[3] for row in rows], scheme, truth)
    classes, filled = len(scheme.classes), reference != IGNORE
    if not filled.any():
        raise InputError(
            "no point is filled in",
            where=truth,
            fix="write class names into the column reference of its layer sample",
        )
    pairs = reference[filled].astype(np.int64) * classes + ids[filled]
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    return Points(scheme, counts, _areas(truth, classes), len(rows))


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise VectorError("is no sample that can be read", where=path, got=error) from error


def _references(texts: list[object], scheme: ClassScheme, where: Path) -> NDArray[np.uint8]:
    """Class ids of names, or of label codes; 255 where nothing is filled in."""
    known = {name: index for index, name in enumerate(scheme.names)}
    cleaned = [str(text).strip() if text is not None else "" for text in texts]
    others = Counter(text for text in cleaned if text and text not in known)
    found = scheme.look_up(others, others.values())
    if found.unknown:
        raise ClassError(
            f"{len(found.unknown)} reference(s) name no class",
            where=where,
            got=found.list_unknown(),
            wanted=", ".join(scheme.names),
            fix="correct them in the column reference of its layer sample",
        )
    codes = dict(zip(others, found.ids.tolist(), strict=True))
    ids = {"": IGNORE, **codes, **known}
    return np.array([ids[text] for text in cleaned], dtype=np.uint8)


def _areas(truth: Path, classes: int) -> Floats:
    area = np.zeros(classes)
    for index, value in _rows(truth, "SELECT class_id, area_m2 FROM strata"):
        if not 0 <= index < classes:
            raise InputError("was drawn from a map of other classes", where=truth)
        area[index] = value
    return area


def _check_unchanged(
    maps: Sequence[LandMap], truth: Path, ids: NDArray[Any], x: NDArray[Any], y: NDArray[Any]
) -> None:
    """The strata of the estimators are the classes of the map: another map needs another sample."""
    (definition,) = _rows(
        truth,
        "SELECT definition FROM gpkg_spatial_ref_sys JOIN gpkg_geometry_columns USING (srs_id) "
        "WHERE table_name = 'sample'",
    )
    crs = pyproj.CRS.from_wkt(definition[0])
    there = np.full(len(ids), IGNORE)
    for each in maps:
        found = _classes_at(each, crs, x, y)
        there = np.where(there == IGNORE, found, there)
    changed = int((there != ids).sum())
    if changed:
        raise InputError(
            "the sample was drawn from another map",
            where=truth,
            got=f"{changed} of {len(ids)} points lie on another class than they were drawn from",
            fix="evaluate the map it was drawn from, or draw a new one with --draw-sample",
        )


def _classes_at(
    land_map: LandMap, crs: pyproj.CRS, x: NDArray[Any], y: NDArray[Any]
) -> NDArray[np.uint8]:
    target = grid.crs_of(land_map.geobox).proj
    if not target.equals(crs, ignore_axis_order=True):
        x, y = pyproj.Transformer.from_crs(crs, target, always_xy=True).transform(x, y)
    inverse, (height, width) = ~land_map.geobox.affine, land_map.geobox.shape
    cols = np.floor(inverse.a * x + inverse.b * y + inverse.c)
    rows = np.floor(inverse.d * x + inverse.e * y + inverse.f)
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    ids = np.full(len(x), IGNORE, dtype=np.uint8)
    for i in np.flatnonzero(inside):
        ids[i] = land_map.read(Window(int(rows[i]), int(cols[i]), 1, 1))[0, 0]
    return ids
