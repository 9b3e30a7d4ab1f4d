"""Class rasters to polygons; GDAL's polygons, shapely and counting by hand are the oracles."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from threading import Barrier, get_ident
from typing import Any

import numpy as np
import pytest
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from skimage.measure import label
from traced_maps import (
    MAPS,
    NORTH_UP,
    OUT,
    ROTATED,
    SHAPES,
    assert_coverage,
    digest,
    random_map,
    source,
    traced,
)

from geoseg import grid
from geoseg.grid import Window
from geoseg.polygonize import Rules, collect, threads, trace
from geoseg.raster import Block

SOUTH_UP = Affine(10.0, 0, 465180.0, 0, 10.0, 5080250.0)


@dataclass(frozen=True, eq=False)
class Masked:
    """A band in memory with a value that means "nothing"."""

    array: NDArray[Any]
    geobox: GeoBox
    nodata: int
    name: str = "masked"

    def read(self, window: Window) -> Block:
        pixels = self.array[window.slices]
        return Block(pixels[None], pixels != self.nodata, grid.crop(self.geobox, window))


def by_gdal(values: NDArray[Any]) -> tuple[list[int], NDArray[Any]]:
    """Classes and polygons of GDAL's 4-connected regions, by first pixel."""
    found = rasterio.features.shapes(values, mask=values != OUT, transform=NORTH_UP)
    regions = [(shapely.geometry.shape(outline), int(value)) for outline, value in found]
    regions.sort(key=lambda region: first_corner(region[0]))
    return [value for _, value in regions], np.array([g for g, _ in regions], dtype=object)


def first_corner(polygon: shapely.Polygon) -> tuple[float, float]:
    """The corner from which a raster scan meets the polygon, as (row, column)."""
    x, y = np.array(polygon.exterior.coords).T
    return -y.max(), x[y == y.max()].min()


@pytest.mark.parametrize("seeds", MAPS)
def test_polygons_are_those_of_gdal_and_form_a_valid_coverage(seeds: range) -> None:
    for seed in seeds:
        values = random_map(seed)
        got = traced(values)
        classes, wanted = by_gdal(values)
        assert got.values.tolist() == classes
        assert shapely.equals(got.geometries, wanted).all()
        assert (shapely.area(shapely.symmetric_difference(got.geometries, wanted)) == 0).all()
        assert_coverage(got)
        assert (shapely.area(got.geometries) == got.pixels * 100.0).all()
        assert got.pixels.sum() == (values != OUT).sum()
        assert (values.ravel()[got.first] == got.values).all()


@pytest.mark.parametrize("seeds", MAPS)
def test_regions_over_corners_are_the_union_of_gdal_polygons_of_one_label(seeds: range) -> None:
    for seed in seeds:
        values = random_map(seed)
        got = traced(values, connectivity=8)
        labels = label(np.where(values == OUT, 0, values + 1), background=0, connectivity=2)
        numbers, first = np.unique(labels[labels > 0], return_index=True)
        assert got.first.tolist() == np.sort(np.flatnonzero(labels > 0)[first]).tolist()
        _, parts = by_gdal(values)
        owner = labels[tuple(np.array([pixel_of(part) for part in parts]).T)] if len(parts) else []
        for number, at in zip(numbers, np.flatnonzero(labels > 0)[first], strict=True):
            ours = got.geometries[np.searchsorted(got.first, at)]
            theirs = shapely.multipolygons(parts[owner == number])
            assert shapely.equals(ours, theirs)
        assert_coverage(got)


def pixel_of(polygon: shapely.Polygon) -> tuple[int, int]:
    row, x = first_corner(polygon)
    return round((5080250 + row) / 10), round((x - 465180) / 10)


@pytest.mark.parametrize("seeds", [range(1), pytest.param(range(1, 6), marks=pytest.mark.slow)])
def test_strips_and_threads_change_nothing(seeds: range) -> None:
    for seed in seeds:
        values = np.resize(random_map(seed, 60), (111, 67))
        for rules in (Rules(), Rules(connectivity=8), Rules(min_area_m2=500, max_hole_m2=900)):
            seen = {
                digest(collect(trace(source(values), rules=rules, spread=threads(workers),
                                     strip_rows=rows)))
                for rows, workers in ((None, 1), (29, 1), (3, 1), (3, 2), (1, 2))
            }  # fmt: skip
            assert len(seen) == 1


def test_every_region_comes_once_and_is_forgotten_when_done() -> None:
    values = np.arange(60, dtype=np.uint8).reshape(20, 3) // 6  # each class two rows high
    batches = list(trace(source(values), spread=threads(1), strip_rows=5))
    found = [batch.values.tolist() for batch in batches]
    assert found == [[0, 1], [3], [2], [6], [4, 5], [8, 9], [7]]


def in_processes(function: Any, items: Iterable[Any]) -> Iterator[Any]:
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        yield from pool.map(function, items)


@pytest.mark.slow
def test_other_processes_do_the_same() -> None:
    values = random_map(7, 60)
    rules = Rules(min_area_m2=300)
    far = collect(trace(source(values), rules=rules, spread=in_processes, strip_rows=5))
    assert digest(far) == digest(traced(values, min_area_m2=300))


def test_jobs_and_what_they_return_pickle() -> None:
    def through_pickle(function: Any, items: Iterable[Any]) -> Iterator[Any]:
        for item in items:
            job = pickle.loads(pickle.dumps((function, item)))
            yield pickle.loads(pickle.dumps(job[0](job[1])))

    values = random_map(8)
    got = collect(trace(source(values), spread=through_pickle, strip_rows=7))
    assert digest(got) == digest(traced(values))


def test_a_checkerboard_is_all_squares_or_two_regions() -> None:
    values = np.indices((5, 7)).sum(axis=0) % 2
    assert shapely.area(traced(values).geometries).tolist() == [100.0] * 35
    joined = traced(values, connectivity=8)
    assert joined.pixels.tolist() == [18, 17]
    assert [len(g.geoms) for g in joined.geometries] == [18, 17]
    assert shapely.is_valid(joined.geometries).all()


def test_a_ring_that_touches_itself_in_a_corner_has_a_hole() -> None:
    values = np.array([[1, 0, 0], [0, 1, 0], [0, 0, 0]])
    outside, speck, hole = (traced(values).geometries[i] for i in (1, 0, 2))
    assert (outside.area, len(outside.interiors)) == (700, 1)
    assert outside.is_valid and speck.area == hole.area == 100


def test_holes_hold_regions_that_have_holes() -> None:
    values = np.zeros((7, 9), np.uint8)
    values[1:6, 1:8], values[2:5, 2:7], values[3, 3:6] = 1, 2, OUT
    got = traced(values)
    assert got.values.tolist() == [0, 1, 2]
    assert shapely.area(got.geometries).tolist() == [2800, 2000, 1200]
    assert [len(g.interiors) for g in got.geometries] == [1, 1, 1]


@pytest.mark.parametrize("shape", [(1, 6), (6, 1)])
def test_a_raster_one_pixel_wide(shape: tuple[int, int]) -> None:
    got = traced(np.array([0, 0, 1, OUT, 1, 1]).reshape(shape), strip_rows=2)
    assert got.pixels.tolist() == [2, 1, 2] and got.touches_edge.all()
    assert_coverage(got)


def test_one_class_is_one_rectangle_of_four_corners() -> None:
    got = traced(np.zeros((9, 5)).astype(np.uint8), strip_rows=2)
    assert shapely.get_num_coordinates(got.geometries).tolist() == [5]


@pytest.mark.parametrize("rules", [Rules(), SHAPES[-1]])
def test_a_map_without_any_class_gives_no_polygons(rules: Rules) -> None:
    assert len(collect(trace(source(np.full((3, 4), OUT)), rules=rules)).first) == 0


def test_a_node_on_a_straight_side_is_a_corner_of_both_neighbours() -> None:
    got = traced([[0, 0, 1], [0, OUT, 1]])
    node = 465200.0, 5080240.0
    assert all(node in set(g.exterior.coords) for g in got.geometries)


@pytest.mark.parametrize("affine", [NORTH_UP, SOUTH_UP, ROTATED])
def test_shells_run_counter_clockwise_on_any_grid(affine: Affine) -> None:
    values = np.zeros((6, 5), np.uint8)
    values[2:4, 1:3] = 1
    got = collect(trace(source(values, affine)))
    assert shapely.is_ccw(shapely.get_exterior_ring(got.geometries)).all()
    assert not shapely.is_ccw(shapely.get_interior_ring(got.geometries[0], 0))
    size = abs(affine.determinant)
    assert shapely.area(got.geometries) == pytest.approx(got.pixels * size, rel=1e-10)


def test_confidence_is_the_mean_of_the_pixels_that_have_one() -> None:
    classes = source([[0, 0, 1, 2]])
    confidence = Masked(np.array([[80, 60, OUT, 50]], np.uint8), classes.geobox, OUT)
    got = collect(trace(classes, confidence=confidence)).confidence
    assert got[0] == 70 and np.isnan(got[1]) and got[2] == 50


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_confidence_does_not_depend_on_strips(dtype: Any) -> None:
    values = random_map(4, 60)
    percent = source(np.random.default_rng(1).integers(0, 101, values.shape).astype(dtype))
    got = [
        collect(trace(source(values), confidence=percent, strip_rows=rows)) for rows in (None, 3)
    ]
    assert (got[0].confidence == got[1].confidence).all()
    means = [percent.array[values == value].mean() for value in np.unique(values[values != OUT])]
    weighted = got[0].confidence * got[0].pixels
    for value, mean in zip(np.unique(got[0].values), means, strict=True):
        chosen = got[0].values == value
        assert weighted[chosen].sum() / got[0].pixels[chosen].sum() == pytest.approx(mean)


def test_values_keep_their_type() -> None:
    values = np.array([[7, 40000, 40000], [OUT, 7, 7]], np.uint16)
    got = traced(values)
    assert got.values.dtype == np.uint16 and got.values.tolist() == [7, 40000, 7]
    signed = collect(trace(source(np.array([[-3, 2]], np.int16))))
    assert signed.values.tolist() == [-3, 2]


def test_polygons_are_cut_where_coordinates_are_multiples_of_a_length() -> None:
    got = traced(np.zeros((4, 6), np.uint8), split_at=40)
    west, _, _, north = shapely.bounds(got.geometries).T
    assert sorted(zip(west, north, strict=True)) == [
        (465180, 5080240), (465180, 5080250), (465200, 5080240), (465200, 5080250),
    ]  # fmt: skip
    assert got.pixels.sum() == 24 and set(got.values) == {0}
    assert_coverage(got)


def test_small_regions_are_not_what_cutting_makes() -> None:
    values = np.zeros((4, 6), np.uint8)
    got = traced(values, split_at=40, min_area_m2=1000)
    assert digest(got) == digest(traced(values, split_at=40))


@pytest.mark.parametrize("cores", [1, 3])
def test_strips_are_spread_over_the_cores_that_the_process_may_use(
    cores: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Dask's count respects affinity and quotas; with one core no thread is started."""
    monkeypatch.setattr("dask.system.CPU_COUNT", cores)
    meeting = Barrier(cores, timeout=30)

    def work(_: int) -> int:
        meeting.wait()
        return get_ident()

    found = set(threads()(work, range(cores)))
    assert len(found) == cores
    assert (get_ident() in found) is (cores == 1)
