"""Ground that its user gave to a split: polygons with train, val or test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.chips.overlaps import Placed, footprints, on_grid
from geoseg.chips.split import LEFT_OUT, TEST, TRAIN, VAL, Names
from geoseg.classes import EVERY, IGNORE, ClassScheme, CodeLookup
from geoseg.errors import ApartError, ChipsError, ClassError
from geoseg.ground import areas_m2
from geoseg.vector import Polygons, read_polygons

NAMES = (TRAIN, VAL, TEST)
TOUCH_PX = 0.01
"""Chips and areas with less than this in common only lie side by side."""
NAMED = 3


def read_areas(
    path: Path, geobox: GeoBox, *, column: str | None, layer: str | None = None
) -> Polygons | None:
    """The areas that meet a scene; ids 0, 1, 2 are train, val, test. None where there are none.

    Args:
        path: the polygon layer.
        geobox: the scene's grid.
        column: attribute with train, val or test; None makes all of them test.
        layer: which layer, where the file has several.

    Raises:
        ClassError: the attribute holds something else.
        VectorError: the layer cannot be read.
        ChipsError: areas of different splits overlap; says by how many square metres.
    """
    test_only = (EVERY,) if column is None else (TEST,)
    values = ((TRAIN,), (VAL,), test_only) if column else ((), (), test_only)
    scheme = ClassScheme.model_validate(
        {
            "column": column,
            "classes": [
                {"name": name, "color": f"#00000{i}", "values": value}
                for i, (name, value) in enumerate(zip(NAMES, values, strict=True))
            ],
        }
    )
    crs, bounds = grid.crs_of(geobox), grid.bounds(geobox)
    try:
        found = read_polygons(
            path, scheme, crs=crs, bounds=bounds, layer=layer, refuse=_unknown_splits
        )
    except ApartError:
        return None
    _check_apart(found, geobox)
    return found


def _unknown_splits(found: CodeLookup, scheme: ClassScheme, where: Path) -> ClassError:
    return ClassError(
        f"{len(found.unknown)} value(s) of the attribute {scheme.column!r} name no split",
        where=where,
        got=found.list_unknown(),
        wanted=f"{', '.join(NAMES)}, or nothing",
        fix="correct them, or name another attribute: --split-column",
    )


def fixed_splits(
    placed: Placed, geoboxes: Sequence[GeoBox], areas: Sequence[Polygons | None]
) -> Names | None:
    """What the areas say of each chip, or None where no area meets a scene.

    A chip that has ground in common with areas of one split belongs to it; with areas of two, or
    with none where some areas are to train on, it is left out.

    Returns:
        (chips,) "val", "test" or "buffer"; "" where the shares may decide.
    """
    if all(each is None for each in areas):
        return None
    touched = np.zeros((len(placed.scene), len(NAMES)), dtype=bool)
    for scene, area in enumerate(areas):
        here = np.flatnonzero(placed.scene == scene)
        if area is not None and len(here):
            touched[here] = _touched(
                footprints(placed, here, geoboxes[scene]), area, geoboxes[scene]
            )
    told = any(area is not None and (area.ids == 0).any() for area in areas)
    several = touched.sum(axis=1) > 1
    outside = ~touched.any(axis=1) & told
    choices = [several | outside, touched[:, 1], touched[:, 2]]
    return np.select(choices, [LEFT_OUT, VAL, TEST], default="")


def _touched(boxes: NDArray[np.object_], area: Polygons, geobox: GeoBox) -> NDArray[np.bool_]:
    """(chips, splits): which splits' areas have ground in common with a chip."""
    chips = on_grid(boxes, geobox)
    chip, polygon = area.tree.query(chips, predicate="intersects")
    pixel = abs(geobox.affine.determinant)
    common = shapely.area(shapely.intersection(chips[chip], area.geometries[polygon])) / pixel
    real = (common > TOUCH_PX) & (area.ids[polygon] != IGNORE)
    touched = np.zeros((len(boxes), len(NAMES)), dtype=bool)
    touched[chip[real], area.ids[polygon[real]]] = True
    return touched


def _check_apart(area: Polygons, geobox: GeoBox) -> None:
    one, other = area.tree.query(area.geometries, predicate="intersects")
    differ = (one < other) & (area.ids[one] != area.ids[other])
    differ &= (area.ids[one] != IGNORE) & (area.ids[other] != IGNORE)
    one, other = one[differ], other[differ]
    common = shapely.intersection(area.geometries[one], area.geometries[other])
    real = shapely.area(common) >= abs(geobox.affine.determinant)
    if not real.any():
        return
    shares = [areas_m2(_polygons(each), geobox).sum() for each in common[real]]
    pairs = [
        f"polygon {a + 1} ({NAMES[area.ids[a]]}) and {b + 1} ({NAMES[area.ids[b]]}), {m2:.0f} m2"
        for a, b, m2 in zip(one[real], other[real], shares, strict=True)
    ]
    more = f"; and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    raise ChipsError(
        "areas of different splits overlap",
        where=area.name,
        got=f"{sum(shares):.0f} m2: {'; '.join(pairs[:NAMED])}{more}",
        wanted="0 m2",
        fix="take the common ground from one of them",
    )


def _polygons(shape: shapely.Geometry) -> NDArray[np.object_]:
    parts = shapely.get_parts(shape)
    flat: NDArray[np.object_] = parts[shapely.get_dimensions(parts) == 2]
    return flat
