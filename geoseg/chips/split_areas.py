"""Polygons that assign areas to train, val or test."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.chips.overlaps import PlacedChips, footprints, on_grid
from geoseg.chips.split import LEFT_OUT, TEST, TRAIN, VAL, SplitNames
from geoseg.classes import EVERY, IGNORE, ClassScheme, CodeLookup
from geoseg.errors import ApartError, ChipsError, ClassError
from geoseg.ground import areas_m2
from geoseg.vector import Polygons, read_polygons

NAMES = (TRAIN, VAL, TEST)
TOUCH_PX = 0.01
"""Smaller overlaps, in pixels, are rounding errors between chips and areas that lie side by
side."""
NAMED = 3
"""Pairs of polygons that an error lists."""


def read_areas(
    path: Path, geobox: GeoBox, *, column: str | None, layer: str | None = None
) -> Polygons | None:
    """Read the areas that intersect a scene.

    Args:
        path: polygon file.
        geobox: grid of the scene.
        column: attribute with train, val or test; None makes all areas test.
        layer: name of the layer, if the file has several.

    Returns:
        Polygons in the CRS of the scene with ids 0, 1 and 2 for train, val and test; None if no
        area intersects the scene.

    Raises:
        ClassError: the attribute has other values.
        VectorError: the layer cannot be read.
        ChipsError: areas of different splits overlap; the error states the area.
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
    placed: PlacedChips, geoboxes: Sequence[GeoBox], areas: Sequence[Polygons | None]
) -> SplitNames | None:
    """Find the splits of chips that overlap areas; None if no area intersects a scene.

    A chip that overlaps areas of one split belongs to it. A chip that overlaps areas of several
    splits is left out; so is one that overlaps none, if there are training areas.

    Args:
        placed: chips with their places.
        geoboxes: grids of the scenes, by index.
        areas: areas of each scene, or None.

    Returns:
        (chips,) "val", "test" or "buffer"; "" where the split is still open.
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
    has_train = any(area is not None and (area.ids == 0).any() for area in areas)
    several = touched.sum(axis=1) > 1
    outside = ~touched.any(axis=1) & has_train
    choices = [several | outside, touched[:, 1], touched[:, 2]]
    return np.select(choices, [LEFT_OUT, VAL, TEST], default="")


def _touched(boxes: NDArray[np.object_], area: Polygons, geobox: GeoBox) -> NDArray[np.bool_]:
    """Whether each chip overlaps areas of each split, (chips, splits)."""
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
    # polygons digitised side by side overlap by slivers; less than a pixel is none
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
        fix="subtract the overlap from one of them",
    )


def _polygons(shape: shapely.Geometry) -> NDArray[np.object_]:
    parts = shapely.get_parts(shape)
    flat: NDArray[np.object_] = parts[shapely.get_dimensions(parts) == 2]
    return flat
