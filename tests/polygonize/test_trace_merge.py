"""Small regions and holes that join their neighbours; worked out by hand and by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from skimage.measure import label

from geoseg.polygonize import ArraySource, Regions, Rules, collect, threads, trace

NORTH_UP = Affine(10.0, 0, 465180.0, 0, -10.0, 5080250.0)
OUT = 255


def traced(
    values: Any, affine: Affine = NORTH_UP, crs: str = "EPSG:32633", **rules: Any
) -> Regions:
    array = np.asarray(values, dtype=np.uint8)
    classes = ArraySource(array, GeoBox(array.shape, affine, crs))
    rows = rules.pop("strip_rows", None)
    return collect(trace(classes, rules=Rules(**rules), spread=threads(1), strip_rows=rows))


def merged(values: Any, **rules: Any) -> NDArray[np.uint8]:
    """The map that the polygons paint."""
    shape = np.shape(values)
    regions = traced(values, **rules)
    pairs = list(zip(regions.geometries, regions.values.tolist(), strict=True))
    if not pairs:
        return np.full(shape, OUT, np.uint8)
    painted: NDArray[np.uint8] = rasterio.features.rasterize(
        pairs, shape, fill=OUT, transform=NORTH_UP, dtype="uint8"
    )
    return painted


def regions_of(
    values: NDArray[Any], connectivity: int
) -> tuple[NDArray[Any], list[int], list[int]]:
    """Labels from 1, and area and first pixel of each label; those of 0 are not regions."""
    labels = label(
        np.where(values == OUT, 0, values.astype(int) + 1),
        background=0,
        connectivity=1 if connectivity == 4 else 2,
    )
    first = np.unique(labels, return_index=True)[1] if (labels == 0).any() else None
    count = int(labels.max())
    firsts = [int(np.argmax(labels.ravel() == k)) for k in range(count + 1)]
    assert first is None or len(first) == count + 1
    return labels, np.bincount(labels.ravel(), minlength=count + 1).tolist(), firsts


def shared_sides(labels: NDArray[Any]) -> dict[tuple[int, int], int]:
    sides: dict[tuple[int, int], int] = {}
    rim = np.pad(labels, 1)
    for one, other in ((rim[1:], rim[:-1]), (rim[:, 1:], rim[:, :-1])):
        apart = one != other
        for pair in zip(one[apart].tolist(), other[apart].tolist(), strict=True):
            for key in (pair, pair[::-1]):
                sides[key] = sides.get(key, 0) + 1
    return sides


def merge_by_hand(values: NDArray[Any], least: int, connectivity: int) -> NDArray[Any]:
    """One region at a time, the whole map labelled anew each time."""
    values, alone = values.copy(), set()
    while True:
        labels, area, first = regions_of(values, connectivity)
        small = [
            (area[k], first[k], k)
            for k in range(1, len(area))
            if area[k] < least and first[k] not in alone
        ]
        if not small:
            return values
        _, at, k = min(small)
        near = {n: length for (one, n), length in shared_sides(labels).items() if one == k and n}
        if not near:
            alone.add(at)
            continue
        best = max(near, key=lambda n: (near[n], area[n], -first[n]))
        values[labels == k] = values.ravel()[first[best]]


def fill_by_hand(values: NDArray[Any], most: int, connectivity: int) -> NDArray[Any]:
    """For each region, what cannot reach the outside without it."""
    labels, area, first = regions_of(values, connectivity)
    near: dict[int, set[int]] = {k: set() for k in range(len(area))}
    for one, other in shared_sides(labels):
        near[one].add(other)
    jobs = []
    for keeper in range(1, len(area)):
        left = set(near) - {keeper}
        while left:
            group, todo = set(), [left.pop()]
            while todo:
                k = todo.pop()
                group.add(k)
                todo += near[k] & left
                left -= near[k]
            size = sum(area[k] for k in group)
            if 0 not in group and size < most:
                jobs.append((size, keeper, group))
    result = values.copy()
    for _, keeper, group in sorted(jobs, key=lambda job: job[0]):
        result[np.isin(labels, list(group))] = values.ravel()[first[keeper]]
    return result


def random_map(seed: int) -> tuple[NDArray[np.uint8], int, int]:
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, 24, 2))
    classes = int(rng.integers(2, 7))
    values = rng.integers(0, classes, (height, width))
    if seed % 3:
        patches = rng.integers(0, classes, (height // 4 + 1, width // 4 + 1))
        large = patches.repeat(4, 0).repeat(4, 1)[:height, :width]
        values = np.where(rng.random((height, width)) < 0.2, values, large)
    values[rng.random((height, width)) < 0.05] = OUT
    return values.astype(np.uint8), int(rng.integers(2, 12)), int(rng.integers(2, 30))


@pytest.mark.slow
@pytest.mark.parametrize("connectivity", [4, 8])
def test_maps_are_those_of_merging_one_region_at_a_time(connectivity: int) -> None:
    for seed in range(40):
        values, least, most = random_map(seed)
        small = merge_by_hand(values, least, connectivity)
        for rows in (None, 3):
            rules: dict[str, Any] = {"connectivity": connectivity, "strip_rows": rows}
            assert (merged(values, min_area_m2=least * 100, **rules) == small).all()
            filled = fill_by_hand(values, most, connectivity)
            assert (merged(values, max_hole_m2=most * 100, **rules) == filled).all()
            both = merged(values, min_area_m2=least * 100, max_hole_m2=most * 100, **rules)
            assert (both == fill_by_hand(small, most, connectivity)).all()


def test_a_small_region_joins_the_neighbour_it_shares_most_boundary_with() -> None:
    values = [[0, 0, 0, 1, 1, 1, 1], [0, 2, 2, 1, 1, 1, 1], [0, 0, 0, 1, 1, 1, 1]]
    assert merged(values, min_area_m2=300)[1].tolist() == [0, 0, 0, 1, 1, 1, 1]
    assert merged(values, min_area_m2=200)[1].tolist() == [0, 2, 2, 1, 1, 1, 1]


def test_among_equals_it_joins_the_larger_then_the_one_that_begins_first() -> None:
    assert merged([[0, 0, 2, 1, 1, 1]], min_area_m2=200).tolist() == [[0, 0, 1, 1, 1, 1]]
    assert merged([[0, 0, 2, 1, 1]], min_area_m2=200).tolist() == [[0, 0, 0, 1, 1]]


def test_what_grows_is_large_enough_sooner() -> None:
    # 1 joins 2, which then has 300 m2; the smaller 3 is looked at before it
    assert merged([[1, 2, 2, 0, 0, 0, 0]], min_area_m2=300).tolist() == [[2, 2, 2, 0, 0, 0, 0]]


def test_joining_makes_one_region_of_neighbours_of_that_class() -> None:
    # without the 2, the two 1 are one region of 300 m2 and stay
    values = [[0, 0, 0, 0, 0], [0, 1, 2, 1, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]]
    assert len(traced(values).first) == 4
    assert len(traced(values, min_area_m2=200).first) == 1


def test_a_region_without_a_neighbour_stays_however_small() -> None:
    values = [[OUT, 1, OUT], [OUT, OUT, 2]]
    assert merged(values, min_area_m2=1e6).tolist() == values


def test_all_of_a_hole_joins_the_region_around_it() -> None:
    values = np.zeros((7, 8), np.uint8)
    values[2:5, 2:5], values[3, 3], values[3, 4] = 1, 2, 3
    assert (merged(values, max_hole_m2=901) == 0).all()
    assert (merged(values, max_hole_m2=900) == values).all()


def test_what_touches_the_outside_is_no_hole() -> None:
    values = [[0, 0, 0, 0], [0, 1, OUT, 0], [0, 0, 0, 0]]
    assert merged(values, max_hole_m2=1e6).tolist() == values


def test_no_square_metre_is_lost() -> None:
    for seed in range(10):
        values, _, _ = random_map(seed)
        got = traced(values, min_area_m2=700, max_hole_m2=2000)
        assert shapely.area(got.geometries).sum() == (values != OUT).sum() * 100


def test_areas_are_those_of_the_ground() -> None:
    # at 60 degrees north a pixel of 0.001 degrees has 111.4 x 55.8 m, 6217 m2
    values = np.zeros((4, 5), np.uint8)
    values[1, 1] = 1
    at_60 = Affine(0.001, 0, 15, 0, -0.001, 60)
    assert len(traced(values, at_60, "EPSG:4326", min_area_m2=6000).first) == 2
    assert len(traced(values, at_60, "EPSG:4326", min_area_m2=6400).first) == 1
