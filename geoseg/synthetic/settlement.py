"""Villages and farms: gardens, streets, and buildings along them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import atan2, pi

import numpy as np
import shapely
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry

from geoseg.synthetic.shapes import Feature, Points, long_axis, polygons, rectangle, subdivide

STREET_M = 10.5


@dataclass(frozen=True, slots=True)
class Building:
    """The sizes, in metres, from which buildings of one kind are drawn."""

    value: str
    length_m: tuple[float, float]
    depth_m: tuple[float, float]
    gap_m: tuple[float, float]


HOUSE = Building("house", (21, 32), (17, 22), (7, 13))
BARN = Building("barn", (32, 58), (19, 27), (10, 18))


def village(
    rng: np.random.Generator,
    blocks: Sequence[Polygon],
    roads: BaseGeometry,
    water: BaseGeometry,
) -> Iterator[Feature]:
    """Cut blocks of land by streets, and line the streets with houses.

    Args:
        rng: decides the cuts and the houses.
        blocks: the village's land between the roads.
        roads: what no house may stand on.
        water: the same.

    Yields:
        Gardens, streets and buildings.
    """
    plots = [
        plot for block in blocks for plot in subdivide(rng, block, long_axis(block), 10_000, 1.5)
    ]
    yield from (Feature(plot, "garden") for plot in plots)
    streets = _streets(blocks, plots).difference(water.buffer(6))
    yield from (Feature(street, "street") for street in polygons(streets))
    forbidden = shapely.union_all([roads.buffer(4), streets.buffer(4), water.buffer(12)])
    for plot in plots:
        kind = BARN if rng.random() < 0.14 else HOUSE
        yield from (Feature(each, kind.value) for each in _buildings(rng, plot, kind, forbidden))


def farmstead(
    rng: np.random.Generator, lanes: BaseGeometry, roads: BaseGeometry
) -> Iterator[Feature]:
    """A yard with barns beside a lane; nothing without a lane."""
    if lanes.is_empty:
        return
    lane = rng.choice(np.array(polygons(lanes), dtype=object))
    outline = lane.exterior
    spot = rng.uniform(0, outline.length)
    here, there = (outline.interpolate((spot + d) % outline.length).coords[0] for d in (0, 5))
    heading = atan2(there[1] - here[1], there[0] - here[0])
    outwards = np.array([np.sin(heading), -np.cos(heading)])
    if shapely.Point(np.array(here) + 9 * outwards).within(lane):
        outwards = -outwards
    yard = rectangle(np.array(here) + 52 * outwards, rng.uniform(105, 140), 100, heading)
    yield Feature(yard, "garden")
    for each in _buildings(rng, yard, BARN, roads.buffer(5)):
        yield Feature(each, BARN.value)


def _streets(blocks: Sequence[Polygon], plots: Sequence[Polygon]) -> BaseGeometry:
    """Boundaries between plots of one block; those of the block are roads or open land already."""
    cuts = shapely.union_all([plot.boundary for plot in plots])
    inner = cuts.difference(shapely.union_all([each.boundary for each in blocks]).buffer(1))
    return inner.buffer(STREET_M / 2, cap_style="square", join_style="mitre")


def _buildings(
    rng: np.random.Generator, plot: Polygon, kind: Building, forbidden: BaseGeometry
) -> list[Polygon]:
    """Buildings side by side along the plot's edge, facing it."""
    depth = rng.uniform(*kind.depth_m)
    setback = STREET_M / 2 + rng.uniform(5, 7) + depth / 2
    built: list[Polygon] = []
    for ring in polygons(plot.buffer(-setback, join_style="mitre")):
        for place, heading, length in _stations(rng, ring.exterior, kind):
            each = rectangle(place, length, depth * rng.uniform(0.92, 1.08), heading)
            apart = all(each.distance(other) > 5 for other in built[-60:])
            if apart and not each.intersects(forbidden) and rng.random() > 0.06:
                built.append(each)
    return built


def _stations(
    rng: np.random.Generator, ring: LineString, kind: Building
) -> Iterator[tuple[Points, float, float]]:
    """Centre, heading and length of the buildings that fit along a ring."""
    at = 0.0
    while True:
        length = rng.uniform(*kind.length_m)
        if at + length > ring.length:
            return
        ends = [np.array(ring.interpolate(at + part * length).coords[0]) for part in (0, 0.5, 1)]
        east, north = ends[2] - ends[0]
        bent = np.linalg.norm(ends[0] + ends[2] - 2 * ends[1]) > 6
        if bent:
            at += 4
            continue
        yield ends[1], atan2(north, east) % (2 * pi), length
        at += length + rng.uniform(*kind.gap_m)
