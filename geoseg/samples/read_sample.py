"""A sample that people have filled in."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unicodedata import normalize

import numpy as np
import pyproj
from numpy.typing import NDArray

from geoseg import grid
from geoseg.accuracy import Confusion, Floats
from geoseg.classes import EVERY, IGNORE, MAX_LISTED, ClassScheme
from geoseg.errors import ClassError, InputError, VectorError
from geoseg.grid import Window
from geoseg.maps.land_map import LandMap
from geoseg.samples.sample_points import points_of

GEOPACKAGE = b"SQLite format 3\0"
TABLES = {"sample", "drawn", "strata"}


@dataclass(frozen=True, eq=False)
class FilledSample:
    """A sample with the reference classes that people have filled in.

    Attributes:
        scheme: the classes.
        counts: (classes, classes) points filled in, reference by row, mapped class by column.
        area_m2: (classes,) mapped area of each class.
        pixels: (classes,) number of pixels of each class.
        drawn: number of points drawn, filled in or not.
    """

    scheme: ClassScheme
    counts: Confusion
    area_m2: Floats
    pixels: NDArray[np.int64]
    drawn: int


def is_sample(path: Path) -> bool:
    """Whether a file is a sample that `draw_sample` has written."""
    if path.suffix.lower() != ".gpkg" or not path.is_file():
        return False
    with path.open("rb") as stream:
        if stream.read(len(GEOPACKAGE)) != GEOPACKAGE:
            return False
    try:
        names = {row[0] for row in _rows(path, "SELECT table_name FROM gpkg_contents")}
    except VectorError:
        return False
    return names >= TABLES


def read_sample(path: Path, maps: Sequence[LandMap]) -> FilledSample:
    """Read a filled-in sample, and check that it was drawn from these maps.

    Args:
        path: the GeoPackage.
        maps: the maps it was drawn from.

    Raises:
        InputError: no point is filled in, points were copied, moved or added, or the maps have
            changed since.
        ClassError: a reference is not a class.
        VectorError: the file cannot be read.
    """
    scheme = maps[0].scheme
    rows = _rows(path, "SELECT point, class_id, x, y FROM drawn ORDER BY point")
    numbers, ids, x, y = (np.array(column) for column in zip(*rows, strict=True))
    _check_unchanged(maps, path, ids, x, y)
    places = dict(zip(numbers.tolist(), zip(x, y, strict=True), strict=True))
    returned = _rows(path, "SELECT fid, point, reference, geom FROM sample ORDER BY fid")
    filled_in = points_of(returned, places, path)
    reference = _references([filled_in.get(each) for each in numbers.tolist()], scheme, path)
    classes, filled = len(scheme.classes), reference != IGNORE
    if not filled.any():
        raise InputError(
            "no point is filled in",
            where=path,
            fix="write class names into the column reference of its layer sample",
        )
    pairs = reference[filled].astype(np.int64) * classes + ids[filled]
    counts = np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
    area_m2, pixels = _strata(path, classes)
    return FilledSample(scheme, counts, area_m2, pixels, len(rows))


def _rows(path: Path, query: str) -> list[tuple[Any, ...]]:
    # Plain SQL: tables are joined by point number, and no geometry is needed.
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            return database.execute(query).fetchall()
    except sqlite3.Error as error:
        raise VectorError("is not a readable sample", where=path, got=error) from error


def _references(texts: list[object], scheme: ClassScheme, where: Path) -> NDArray[np.uint8]:
    """Class ids of names or label codes; 255 where nothing is filled in."""
    known = {name: index for index, name in enumerate(scheme.names)}
    cleaned = [normalize("NFC", str(text).strip()) if text is not None else "" for text in texts]
    others = Counter(text for text in cleaned if text and text not in known)
    # a slip of the pen is no class, whatever a label layer's other codes mean
    unknown = others.keys() - (set(scheme.codes) - {EVERY})
    if unknown:
        points = [at for at, text in enumerate(cleaned, 1) if text in unknown]
        listed = ", ".join(f"{cleaned[at - 1]!r} at point {at}" for at in points[:MAX_LISTED])
        raise ClassError(
            f"{len(points)} reference(s) name no class",
            where=where,
            got=listed,
            wanted=", ".join(scheme.names),
            fix="correct them in the column reference of its layer sample",
        )
    found = scheme.look_up(others)
    codes = dict(zip(others, found.ids.tolist(), strict=True))
    ids = {"": IGNORE, **codes, **known}
    return np.array([ids[text] for text in cleaned], dtype=np.uint8)


def _strata(path: Path, classes: int) -> tuple[Floats, NDArray[np.int64]]:
    """Area and pixels of each class."""
    area, pixels = np.zeros(classes), np.zeros(classes, dtype=np.int64)
    for index, value, count in _rows(path, "SELECT class_id, area_m2, pixels FROM strata"):
        if not 0 <= index < classes:
            raise InputError("was drawn from a map of other classes", where=path)
        area[index], pixels[index] = value, count
    return area, pixels


def _check_unchanged(
    maps: Sequence[LandMap], path: Path, ids: NDArray[Any], x: NDArray[Any], y: NDArray[Any]
) -> None:
    """The strata of the estimators are the classes of the map: another map needs another sample."""
    (definition,) = _rows(
        path,
        "SELECT definition FROM gpkg_spatial_ref_sys JOIN gpkg_geometry_columns USING (srs_id) "
        "WHERE table_name = 'sample'",
    )
    crs = pyproj.CRS.from_wkt(definition[0])
    mapped = np.full(len(ids), IGNORE)
    for each in maps:
        found = _classes_at(each, crs, x, y)
        mapped = np.where(mapped == IGNORE, found, mapped)
    changed = int((mapped != ids).sum())
    if changed:
        raise InputError(
            "the sample was drawn from another map",
            where=path,
            got=f"{changed} of {len(ids)} points lie on another class than they were drawn from",
            fix="evaluate the map it was drawn from, or draw a new one with --draw-sample",
        )


def _classes_at(
    land_map: LandMap, crs: pyproj.CRS, x: NDArray[Any], y: NDArray[Any]
) -> NDArray[np.uint8]:
    """Class ids of a map at points, (n,); 255 outside it."""
    target = grid.crs_of(land_map.geobox).proj
    # The file's x and y are easting first, whatever axis order the authority defines for its CRS.
    if not target.equals(crs, ignore_axis_order=True):
        x, y = pyproj.Transformer.from_crs(crs, target, always_xy=True).transform(x, y)
    inverse, (height, width) = ~land_map.geobox.affine, land_map.geobox.shape
    cols = np.floor(inverse.a * x + inverse.b * y + inverse.c)
    rows = np.floor(inverse.d * x + inverse.e * y + inverse.f)
    inside = (rows >= 0) & (rows < height) & (cols >= 0) & (cols < width)
    ids = np.full(len(x), IGNORE, dtype=np.uint8)
    for i in np.flatnonzero(inside):  # a few hundred points, so that single pixels are read
        ids[i] = land_map.read(Window(int(rows[i]), int(cols[i]), 1, 1))[0, 0]
    return ids
