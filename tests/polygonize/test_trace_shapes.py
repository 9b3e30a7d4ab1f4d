"""Simplified and smoothed polygons: still a coverage, whatever the strips."""

from __future__ import annotations

import numpy as np
import pytest
import shapely
from traced_maps import MAPS, SHAPES, assert_coverage, digest, random_map, source, traced

from geoseg.polygonize import Regions, Rules, collect, threads, trace


@pytest.mark.parametrize("rules", SHAPES)
@pytest.mark.parametrize("seeds", MAPS)
def test_shapes_change_but_not_the_coverage(rules: Rules, seeds: range) -> None:
    plain = Rules(rules.connectivity, rules.min_area_m2, rules.max_hole_m2)
    for seed in seeds:
        classes = source(random_map(seed))
        before = collect(trace(classes, rules=plain, spread=threads(1)))
        after = collect(trace(classes, rules=rules, spread=threads(1)))
        assert (after.first == before.first).all() and (after.pixels == before.pixels).all()
        assert_coverage(after)
        area = shapely.area(before.geometries).sum()
        assert abs(shapely.area(after.geometries).sum() - area) <= 1e-9 * area
        assert nodes_of(before) <= points_of(after)


def points_of(regions: Regions) -> set[tuple[float, float]]:
    return set(map(tuple, shapely.get_coordinates(regions.geometries).tolist()))


def nodes_of(regions: Regions) -> set[tuple[float, float]]:
    """Corners where polygons of three regions meet."""
    points, owner = shapely.get_coordinates(regions.geometries, return_index=True)
    pairs = np.unique(np.column_stack([points, owner]), axis=0)
    corners, count = np.unique(pairs[:, :2], axis=0, return_counts=True)
    return set(map(tuple, corners[count > 2].tolist()))


@pytest.mark.parametrize("rules", SHAPES)
@pytest.mark.parametrize("seeds", [range(5), pytest.param(range(5, 20), marks=pytest.mark.slow)])
def test_shapes_do_not_depend_on_strips(rules: Rules, seeds: range) -> None:
    for seed in seeds:
        classes = source(random_map(seed, 60))
        seen = {
            digest(collect(trace(classes, rules=rules, spread=threads(workers), strip_rows=rows)))
            for rows, workers in ((None, 1), (7, 2), (1, 1))
        }
        assert len(seen) == 1


def test_smoothing_rounds_the_corners_of_a_field_and_leaves_its_sides() -> None:
    """20 x 40 px of 10 m: four corners lose 2 x 2 / 2 px each, and not 5 x 10 / 2."""
    values = np.zeros((30, 60), np.uint8)
    values[5:25, 10:50] = 1
    found = traced(values, smooth=1)
    assert shapely.area(found.geometries).tolist() == [100 * (1800 - 792), 100 * 792]
    assert shapely.coverage_is_valid(found.geometries)
