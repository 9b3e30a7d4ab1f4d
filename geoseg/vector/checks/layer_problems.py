"""Problems of a layer: CRS, emptiness, and geometries that are no usable polygons."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pyproj
import shapely
from numpy.typing import NDArray

from geoseg.problems import Problem
from geoseg.vector.checks.layer_facts import BROKEN, LayerFacts
from geoseg.vector.layer import beyond_lonlat

POLYGONAL = ("Polygon", "MultiPolygon")
MAX_LISTED = 5


def layer_problems(facts: LayerFacts, geometries: NDArray[Any]) -> list[Problem]:
    """Problems of a layer.

    Args:
        facts: the layer's facts.
        geometries: (n,) geometries as `read_layer` returns them.
    """
    found = [
        *_crs_problems(facts),
        *_count_problems(facts),
        *_geometry_problems(geometries),
        *_type_problems(facts),
    ]
    return [each.about(f"layer {facts.name}") for each in found]


def _crs_problems(facts: LayerFacts) -> Iterator[Problem]:
    if facts.crs is None:
        fix = "set it: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ..."
        yield Problem("no-crs", "error", "has no CRS", fix)
        return
    if facts.bounds is None or facts.crs_name is None:
        return
    if pyproj.CRS.from_user_input(facts.crs).is_geographic and beyond_lonlat(facts.bounds):
        left, bottom, right, top = facts.bounds
        yield Problem(
            "not-lonlat",
            "error",
            f"its CRS, {facts.crs_name}, is in degrees, but its coordinates go from "
            f"{left:.8g}, {bottom:.8g} to {right:.8g}, {top:.8g}",
            "set the right CRS: ogr2ogr -a_srs EPSG:32633 fixed.gpkg ...",
        )


def _count_problems(facts: LayerFacts) -> Iterator[Problem]:
    if not facts.features:
        yield Problem("empty", "error", "has no features")


def _geometry_problems(geometries: NDArray[Any]) -> Iterator[Problem]:
    undecodable = np.array([each is BROKEN for each in geometries], dtype=bool)
    missing = shapely.is_missing(geometries) | (shapely.is_empty(geometries) & ~undecodable)
    invalid = ~missing & ~undecodable & ~shapely.is_valid(geometries)
    if undecodable.any():
        text = f"{_counted(undecodable)} cannot be decoded: {_listed(undecodable)}"
        yield Problem("broken-geometry", "error", text, "repair or delete them")
    if missing.any():
        text = f"{_counted(missing)} have no geometry; they are left out: {_listed(missing)}"
        yield Problem("null-geometry", "note", text)
    if invalid.any():
        text = f"{_counted(invalid)} are not valid; they are repaired when read: {_listed(invalid)}"
        yield Problem("invalid-geometry", "note", text)


def _counted(mask: NDArray[np.bool_]) -> str:
    return f"{int(mask.sum())} of {mask.size} features"


def _listed(mask: NDArray[np.bool_]) -> str:
    return "feature " + ", ".join(str(i) for i in np.flatnonzero(mask)[:MAX_LISTED])


def _type_problems(facts: LayerFacts) -> Iterator[Problem]:
    types = facts.geometry_types
    other = [each for each in types if each not in POLYGONAL]
    listed = ", ".join(f"{count} {each}" for each, count in types.items())
    fix = "buffer points and lines to the area they stand for"
    if other and len(other) == len(types):
        yield Problem("no-polygons", "error", f"has no polygons, but {listed}", fix)
    elif other:
        yield Problem("mixed-geometry", "error", f"mixes geometry types: {listed}", fix)
