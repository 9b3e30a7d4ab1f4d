"""Right-angled footprints: near what was drawn, apart from each other, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.polygonize import ArraySource, collect, trace
from geoseg.vector.regularize import MIN_IOU, regularize

UTM = pyproj.CRS(32633)
CORNER = (465180.0, 5080250.0)


def turned(shape: Any, degrees: float, x: float = 0, y: float = 0) -> Any:
    return shapely.affinity.translate(shapely.affinity.rotate(shape, degrees), x, y)


def drawn(shapes: list[Any], size: tuple[int, int] = (96, 128), crs: Any = UTM) -> NDArray[Any]:
    """What tracing makes of shapes in pixels from the lower left corner, in their order."""
    affine = Affine(1, 0, CORNER[0], 0, -1, CORNER[1] + size[0])
    placed = [(shapely.affinity.translate(each, *CORNER), i + 1) for i, each in enumerate(shapes)]
    values = rasterio.features.rasterize(placed, size, transform=affine, dtype=np.uint8)
    regions = collect(trace(ArraySource(values, GeoBox(size, affine, crs))))
    order = np.argsort(regions.values)
    return regions.geometries[order][regions.values[order] > 0]


def corners(geometry: Any) -> NDArray[np.float64]:
    """The cosine of every corner of a polygon; 0 is a right angle."""
    points = shapely.get_coordinates(geometry.exterior)[:-1]
    before, after = points - np.roll(points, 1, axis=0), np.roll(points, -1, axis=0) - points
    return np.abs((before * after).sum(axis=1)) / np.hypot(*before.T) / np.hypot(*after.T)


def iou(one: Any, other: Any) -> Any:
    return shapely.area(one & other) / shapely.area(one | other)


def houses(count: int = 12) -> list[Any]:
    rng = np.random.default_rng(8)
    found = []
    for i in range(count):
        wide, deep = rng.uniform(10, 22), rng.uniform(8, 16)
        body = shapely.box(-wide / 2, -deep / 2, wide / 2, deep / 2)
        wing = shapely.box(0, 0, wide / 2, deep / 2)
        shape = body.difference(wing) if i % 3 == 0 else body
        found.append(turned(shape, rng.uniform(0, 90), 16 + 32 * (i % 4), 16 + 32 * (i // 4)))
    return found


def test_houses_get_their_walls_and_right_angles_back() -> None:
    outlines = drawn(houses())
    found = regularize(outlines, UTM, 1.0)
    assert shapely.is_valid(found).all()
    walls = shapely.get_num_coordinates(found) - 1
    assert walls.tolist() == [6 if i % 3 == 0 else 4 for i in range(12)]
    assert max(corners(each).max() for each in found) < 1e-6
    truth = np.array([shapely.affinity.translate(each, *CORNER) for each in houses()])
    assert iou(found, truth).min() > 0.85 and iou(found, truth).mean() > 0.9
    assert iou(found, truth).mean() > iou(outlines, truth).mean() - 0.01
    assert shapely.area(found).sum() == pytest.approx(shapely.area(truth).sum(), rel=0.02)
    assert shapely.is_ccw(shapely.get_exterior_ring(found)).all()


def test_a_court_stays_a_court_in_the_direction_of_the_house() -> None:
    house = shapely.box(-20, -14, 20, 14).difference(shapely.box(-10, -6, 10, 6))
    found = regularize(drawn([turned(house, 25, 64, 48)]), UTM, 1.0)[0]
    assert shapely.get_num_interior_rings(found) == 1
    assert len(found.exterior.coords) == len(found.interiors[0].coords) == 5
    direction = [
        np.degrees(
            np.arctan2(*(shapely.get_coordinates(ring)[1] - shapely.get_coordinates(ring)[0]))
        )
        % 90
        for ring in shapely.get_rings(found)
    ]
    assert direction[0] == pytest.approx(direction[1], abs=1e-6)
    assert direction[0] == pytest.approx(65, abs=2)


def test_what_has_no_right_angles_keeps_its_outline() -> None:
    star = shapely.union_all([turned(shapely.box(-30, -2, 30, 2), 36 * i) for i in range(5)])
    outlines = drawn([shapely.affinity.translate(star, 64, 48)])
    found = regularize(outlines, UTM, 1.0)
    assert found[0] is outlines[0] or iou(found[0], outlines[0]) >= MIN_IOU
    thin = np.array([shapely.Polygon([(0, 0), (40, 0), (40, 1), (1, 1), (1, 40), (0, 40)])])
    again = regularize(thin, UTM, 5.0)
    assert again[0] is thin[0]


def test_footprints_that_would_overlap_stay_as_they_were_drawn() -> None:
    """Two halves of a disc: each alone would be squared over the line between them."""
    rng = np.random.default_rng(2)
    values = rng.integers(1, 4, (24, 32), dtype=np.uint8).repeat(4, 0).repeat(4, 1)
    affine = Affine(1, 0, CORNER[0], 0, -1, CORNER[1])
    regions = collect(trace(ArraySource(values, GeoBox(values.shape, affine, UTM))))
    outlines = regions.geometries
    found = regularize(outlines, UTM, 3.0)
    changed = np.array([one is not other for one, other in zip(found, outlines, strict=True)])
    one, other = shapely.STRtree(found).query(found, predicate="intersects")
    pairs = one < other
    assert not shapely.relate_pattern(found[one[pairs]], found[other[pairs]], "T********").any()
    assert shapely.is_valid(found).all() and not changed.all()


def test_neighbours_with_room_between_them_are_both_squared() -> None:
    left = turned(shapely.box(-10, -8, 10, 8), 30, 40, 48)
    right = turned(shapely.box(-10, -8, 10, 8), 30, 66, 48)
    outlines = drawn([left, right])
    found = regularize(outlines, UTM, 1.0)
    assert shapely.get_num_coordinates(found).tolist() == [5, 5]


def test_degrees_are_stretched_to_metres_first() -> None:
    """At 60 degrees north a degree to the east has 55 800 m, one to the north 111 412 m."""
    degree = np.array([55_800, 111_412])
    house = turned(shapely.box(-12, -7, 12, 7), 30, 40, 40)
    outline = drawn([house])[0]
    degrees = shapely.transform(outline, lambda points: (points - CORNER) / degree + (14, 60))
    found = regularize(np.array([degrees]), pyproj.CRS(4326), 1.0)[0]
    back = shapely.transform(found, lambda points: (points - (14, 60)) * degree)
    assert len(found.exterior.coords) == 5 and corners(back).max() < 1e-3
    assert iou(back, house) > 0.85


def test_in_web_mercator_the_tolerance_is_one_on_the_ground() -> None:
    """At 60 degrees north a metre on the ground is two on the map."""
    house = turned(shapely.box(-12, -7, 12, 7), 30, 40, 40)
    outline = drawn([house])[0]

    def on_map(points: NDArray[np.float64]) -> NDArray[np.float64]:
        return 2 * (points - CORNER) + (1_558_472, 8_399_738)

    large = regularize(np.array([shapely.transform(outline, on_map)]), pyproj.CRS(3857), 1.0)[0]
    plain = regularize(np.array([outline]), pyproj.CRS(32633), 1.0)[0]
    assert len(large.exterior.coords) == 5
    assert large.area == pytest.approx(4 * plain.area, rel=1e-3)


def test_nothing_has_no_footprint() -> None:
    assert regularize(np.empty(0, object), UTM, 1.0).tolist() == []
