"""The ground truth of the demo: land cover as polygons in metres."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import atan2

import numpy as np
import shapely
from shapely import Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.materials import CLASS_IDS
from geoseg.synthetic.nature import draw_forest, draw_pits, draw_rivers
from geoseg.synthetic.roads import Cell, Network, draw_cells, draw_network
from geoseg.synthetic.settlement import farmstead, village
from geoseg.synthetic.shapes import Feature, Points, blob, polygons, subdivide


def draw_landscape(rng: np.random.Generator, height_m: float, width_m: float) -> list[Feature]:
    """Draw a landscape of fields, forest, water, roads and villages.

    Args:
        rng: source of all randomness.
        height_m: extent to the north, from 0.
        width_m: extent to the east, from 0.

    Returns:
        Polygons in drawing order: a later one covers an earlier one. Fields extend under the
        buildings on them, as in a cadastre.

    Example:
        >>> features = draw_landscape(np.random.default_rng(0), 600, 800)
        >>> {"wheat", "river", "house"} <= {feature.value for feature in features}
        True
    """
    cells = draw_cells(height_m, width_m)
    rivers = list(draw_rivers(rng, height_m, width_m))
    flowing = shapely.union_all([each.geometry for each in rivers])
    network = draw_network(rng, height_m, width_m)
    centres = [_village_site(rng, network, cell, flowing) for cell in cells]
    villages = [
        blob(rng, centre, rng.uniform(335, 385) * cell.scale, 0.3)
        for cell, centre in zip(cells, centres, strict=True)
    ]
    lakes, quarries = draw_pits(rng, cells, villages, flowing)
    pits = shapely.union_all([each.geometry for each in quarries])
    water = shapely.union_all([flowing, *(each.geometry for each in lakes)])
    roads = list(_roads(rng, network, centres, villages, water))
    settled = [
        *_villages(rng, network, villages, roads, water),
        *_farms(rng, cells, villages, roads, shapely.union_all([water, pits])),
    ]
    gardens = shapely.union_all([each.geometry for each in settled if each.value == "garden"])
    fields = _fields(rng, network, flowing, shapely.union_all([*villages, pits]))
    cleared = shapely.union_all([gardens.buffer(20), pits.buffer(30)])
    forest = draw_forest(rng, network.blocks, height_m, width_m, cleared)
    everything = [*fields, *quarries, *forest, *rivers, *lakes, *roads, *settled]
    return _in_drawing_order(_clipped(everything, shapely.box(0, 0, width_m, height_m)))


def _village_site(
    rng: np.random.Generator, network: Network, cell: Cell, flowing: BaseGeometry
) -> Points:
    """A crossroads in the middle of the cell, away from rivers."""
    wish = cell.centre + rng.uniform(-0.12, 0.12, 2) * cell.size
    far = np.hypot(*((network.nodes - wish) / cell.size).T)
    dry = shapely.distance(shapely.points(network.nodes), flowing) / (260 * cell.scale)
    return np.asarray(network.nodes[np.argmin(far + 0.5 * np.clip(1 - dry, 0, 1))])


def _roads(
    rng: np.random.Generator,
    network: Network,
    centres: Sequence[Points],
    villages: Sequence[Polygon],
    water: BaseGeometry,
) -> Iterator[Feature]:
    main, side = network.roads(rng, centres, shapely.union_all(villages), water)
    for line in main:
        yield Feature(line.buffer(7.0, join_style="round"), "main road")
    for line in side:
        yield Feature(line.buffer(5.5, join_style="round"), "side road")


def _villages(
    rng: np.random.Generator,
    network: Network,
    villages: Sequence[Polygon],
    roads: Sequence[Feature],
    water: BaseGeometry,
) -> Iterator[Feature]:
    ways = shapely.union_all([each.geometry for each in roads])
    for area in villages:
        blocks = [part for block in network.blocks for part in polygons(block.intersection(area))]
        yield from village(rng, blocks, ways, water)


def _farms(
    rng: np.random.Generator,
    cells: Sequence[Cell],
    villages: Sequence[Polygon],
    roads: Sequence[Feature],
    unfit: BaseGeometry,
) -> Iterator[Feature]:
    """Farms along the side roads, away from villages and unfit land."""
    ways = shapely.union_all([each.geometry for each in roads])
    lanes = shapely.union_all([each.geometry for each in roads if each.value == "side road"])
    crowded = shapely.union_all([*(each.buffer(150) for each in villages), unfit.buffer(90)])
    lonely = lanes.difference(crowded)
    for cell in cells:
        near = lonely.intersection(cell.box)
        for _ in range(max(1, round(8 * cell.scale**2))):
            yield from farmstead(rng, near, ways)


def _fields(
    rng: np.random.Generator,
    network: Network,
    river: BaseGeometry,
    built: BaseGeometry,
) -> Iterator[Feature]:
    """Each block of land between roads, cut into fields."""
    near_river = river.buffer(70)
    shapely.prepare([near_river, built])
    for block in network.blocks:
        heading = _row_heading(rng, block)
        size = rng.uniform(11_000, 34_000)
        for plot in subdivide(rng, block, heading, size, rng.uniform(1.3, 3.0)):
            value = _crop(rng, plot.intersects(near_river), plot.intersects(built))
            yield Feature(plot, value, heading)


def _row_heading(rng: np.random.Generator, block: Polygon) -> float:
    """The direction of ploughing: along the longest straight edge of the block, roughly."""
    corners = shapely.get_coordinates(block.simplify(15))
    sides = np.diff(corners, axis=0)
    east, north = sides[np.argmax(np.hypot(*sides.T))]
    return atan2(north, east) + rng.normal(0, 0.05)


def _crop(rng: np.random.Generator, wet: bool, built: bool) -> str:
    """The crop of a plot; ploughed land keeps away from villages, whose gardens it would cover."""
    if wet and rng.random() < 0.55:
        return str(rng.choice(["meadow", "pasture"]))
    shares = {
        "wheat": 0.21,
        "barley": 0.12,
        "maize": 0.13,
        "rapeseed": 0.10,
        "sugar beet": 0.08,
        "meadow": 0.14,
        "pasture": 0.09,
        "ploughed": 0.0 if built else 0.13,
    }
    weights = np.array(list(shares.values()))
    return str(rng.choice(list(shares), p=weights / weights.sum()))


def _clipped(features: Sequence[Feature], frame: Polygon) -> Iterator[Feature]:
    for each in features:
        for part in polygons(each.geometry.intersection(frame)):
            yield Feature(part, each.value, each.heading)


def _in_drawing_order(features: Iterator[Feature]) -> list[Feature]:
    """Sorted by class; within a class, smaller features cover larger ones."""
    return sorted(features, key=lambda each: (CLASS_IDS[each.value], -each.geometry.area))
