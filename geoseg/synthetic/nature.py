"""Rivers, lakes and forest; and quarries, which are shaped like lakes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import pi

import numpy as np
import shapely
from shapely import Polygon, STRtree
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.roads import Cell
from geoseg.synthetic.shapes import (
    Feature,
    Points,
    blob,
    contours,
    meander,
    polygons,
    smooth_noise,
)


def draw_rivers(rng: np.random.Generator, height_m: float, width_m: float) -> Iterator[Feature]:
    """One river from west to east and a stream into it from each side."""
    start = np.array([-300.0, height_m * rng.uniform(0.4, 0.6)])
    course = meander(rng, start, 0.0, 2.2 * width_m + 900, 620)
    course[:, 1] += np.linspace(0, height_m * 0.5 - course[-1, 1], len(course))
    yield Feature(_bed(rng, course, 34), "river")
    for heading in (0.5 * pi, -0.5 * pi):
        mouth = course[np.argmin(abs(course[:, 0] - width_m * rng.uniform(0.2, 0.8)))]
        lean = heading + rng.uniform(-0.35, 0.35)
        yield Feature(_bed(rng, meander(rng, mouth, lean, 1.5 * height_m, 340), 14), "stream")


def _bed(rng: np.random.Generator, course: Points, width_m: float) -> Polygon:
    swell = smooth_noise(rng, (1, len(course)), 12)[0]
    width = width_m / 2 * np.exp(0.16 * np.clip(swell, -2, 2))
    bends = shapely.linestrings(np.stack([course[:-1], course[1:]], axis=1))
    bed = shapely.union_all(shapely.buffer(bends, width[1:], quad_segs=6))
    return max(polygons(bed.simplify(0.5)), key=lambda each: each.area)


def draw_pits(
    rng: np.random.Generator,
    cells: Sequence[Cell],
    villages: Sequence[Polygon],
    river: BaseGeometry,
) -> tuple[list[Feature], list[Feature]]:
    """Two lakes and a quarry in each cell, apart from each other."""
    taken: list[BaseGeometry] = [*villages, river]
    found: dict[str, list[Feature]] = {"lake": [], "quarry": []}
    for cell in cells:
        for value, radius_m in (("lake", 165), ("quarry", 125), ("lake", 85)):
            centres = cell.centre + rng.uniform(-0.42, 0.42, (40, 2)) * cell.size
            room = shapely.distance(shapely.points(centres), shapely.union_all(taken))
            order = np.argsort(room)
            pit = blob(rng, centres[order[rng.integers(28, 40)]], radius_m * cell.scale)
            taken.append(pit.buffer(40))
            found[value].append(Feature(pit, value))
    return found["lake"], found["quarry"]


def draw_forest(
    rng: np.random.Generator,
    blocks: Sequence[Polygon],
    height_m: float,
    width_m: float,
    cleared: BaseGeometry,
) -> Iterator[Feature]:
    """Woods with smooth edges, divided by roads into stands of one kind of tree."""
    cell_m = 20.0
    shape = (int(height_m / cell_m) + 2, int(width_m / cell_m) + 2)
    scale = min(1.0, min(height_m, width_m) / 2000)
    field = smooth_noise(rng, shape, 11 * scale) + 0.45 * smooth_noise(rng, shape, 2.4)
    woods = contours(field, float(np.quantile(field, 0.80)), cell_m)
    tree = STRtree(blocks)
    for wood in polygons(shapely.union_all(woods).difference(cleared)):
        if wood.buffer(-8).is_empty:
            continue
        for index in sorted(tree.query(wood, predicate="intersects")):
            value = "conifer" if rng.random() < 0.45 else "broadleaf"
            for stand in polygons(blocks[index].intersection(wood)):
                yield Feature(stand, value)
