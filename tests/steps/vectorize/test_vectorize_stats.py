"""Means of rasters over polygons, against every pixel cut by hand."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.raster import Block
from geoseg.vector import zonal_means
from geoseg.vector.zonal_means import means

UTM = pyproj.CRS(32633)
NORTH_UP = Affine(10, 0, 465180, 0, -10, 5080250)


@dataclass(frozen=True, eq=False)
class Memory:
    """A band in memory that counts what is read of it; NaN and 255 are no data."""

    array: NDArray[Any]
    affine: Affine = NORTH_UP
    crs: Any = "EPSG:32633"
    name: str = "height.tif"
    read_cells: list[int] = field(default_factory=list)

    @property
    def geobox(self) -> GeoBox:
        return GeoBox(self.array.shape, self.affine, self.crs)

    def read(self, window: Window) -> Block:
        pixels = self.array[window.slices]
        assert pixels.shape == window.shape, "windows stay inside"
        self.read_cells.append(pixels.size)
        valid = pixels != 255 if pixels.dtype == np.uint8 else np.isfinite(pixels)
        return Block(pixels[None], valid, grid.crop(self.geobox, window))


def heights(seed: int = 0) -> NDArray[np.float64]:
    values = np.random.default_rng(seed).uniform(0, 100, (96, 128))
    values[:20, 40:60] = np.nan
    return values


def by_hand(geometry: Any, source: Memory) -> float:
    """The mean over all pixels, each cut by the polygon."""
    known = np.argwhere(np.isfinite(source.array.astype(float)))
    offsets = np.array([(0, 0), (1, 0), (1, 1), (0, 1)])
    rows, cols = (known[:, None, axis] + offsets[:, 1 - axis] for axis in (0, 1))
    affine = source.affine
    x = affine.a * cols + affine.b * rows + affine.c
    y = affine.d * cols + affine.e * rows + affine.f
    share = shapely.area(shapely.intersection(shapely.polygons(np.stack([x, y], -1)), geometry))
    values = source.array[known[:, 0], known[:, 1]].astype(float)
    return float((share * values).sum() / share.sum()) if share.any() else float("nan")


def some_polygons() -> NDArray[Any]:
    """Off the pixels, with a hole, in parts, thinner than a pixel, and over the edge."""
    block = shapely.box(465203, 5079803, 465277, 5079891)
    return np.array(
        [
            block,
            block.difference(shapely.box(465221, 5079821, 465249, 5079855)),
            shapely.multipolygons([block, shapely.box(465311.5, 5079800, 465313, 5079925)]),
            shapely.Polygon([(465600, 5079600), (465693, 5079666), (465622, 5079711)]),
            shapely.box(465150, 5080100, 465222, 5080300),
            shapely.box(465600, 5080120, 465650, 5080280),
        ]
    )


@pytest.mark.parametrize(
    "affine",
    [
        NORTH_UP,
        Affine(7.3, 0, 465171.4, 0, -11.1, 5080261.9),
        Affine(10, 0, 465180, 0, 10, 5079290),
        Affine(8.0, 3.7, 465181.05, 3.1, -9.3, 5080254.6),
    ],
    ids=["north-up", "other pixels", "south-up", "rotated"],
)
def test_a_mean_counts_every_pixel_by_the_share_that_is_covered(affine: Affine) -> None:
    source = Memory(heights(), affine)
    found = means(some_polygons(), UTM, source)
    expected = [by_hand(each, source) for each in some_polygons()]
    assert found == pytest.approx(expected, rel=1e-5, nan_ok=True)
    assert np.isfinite(found).sum() >= 4


def test_the_order_of_the_polygons_is_kept() -> None:
    values = np.arange(96 * 128, dtype=np.float64).reshape(96, 128)
    rng = np.random.default_rng(5)
    row, col = rng.integers(0, 96, 300), rng.integers(0, 128, 300)
    x, y = 465180 + 10 * col, 5080250 - 10 * row
    found = means(shapely.box(x, y - 10, x + 10, y), UTM, Memory(values))
    assert found == pytest.approx(values[row, col])


def test_a_polygon_on_pixels_without_data_has_no_mean_and_borrows_none() -> None:
    source = Memory(heights(), Affine(0.05, 0, 465180.03, 0, -0.05, 5080250.07))
    (left, top), (right, bottom) = source.affine @ (40, 0), source.affine @ (60, 20)
    x, y = source.affine @ (61, 21)
    polygons = np.array(
        [
            shapely.box(left, bottom, right, top),
            shapely.box(right, bottom, x, top),
            shapely.box(left, y, right, top),
            shapely.box(0, 0, 1, 1),
        ]
    )
    found = means(polygons, UTM, source)
    expected = [source.array[:20, 60].mean(), source.array[20, 40:60].mean()]
    assert np.isnan(found[[0, 3]]).all() and found[1:3] == pytest.approx(expected)


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int64, np.float32])
def test_pixels_may_be_of_any_kind(dtype: Any) -> None:
    values = np.random.default_rng(1).integers(0, 200, (96, 128)).astype(dtype)
    found = means(some_polygons()[:1], UTM, Memory(values))
    assert found[0] == pytest.approx(by_hand(some_polygons()[0], Memory(values)))


@pytest.mark.parametrize(
    ("crs", "affine"),
    [
        ("EPSG:4326", Affine(0.0002, 0, 14.54, 0, -0.0002, 45.88)),
        ("EPSG:3035", Affine(15, 0, 4672000, 0, -15, 2535000)),
    ],
)
def test_a_raster_in_another_crs_says_what_it_says_there(crs: str, affine: Affine) -> None:
    to_there = pyproj.Transformer.from_crs(UTM, crs, always_xy=True)
    x, y = to_there.transform(465600, 5079800)
    affine = Affine(affine.a, 0, x - 60 * affine.a, 0, affine.e, y + 50 * abs(affine.e))
    source = Memory(heights(), affine, crs)
    there = shapely.transform(
        shapely.segmentize(some_polygons(), 10), to_there.transform, interleaved=False
    )
    found = means(some_polygons(), UTM, source)
    expected = [by_hand(each, source) for each in there]
    assert found == pytest.approx(expected, rel=1e-4, nan_ok=True)
    assert np.isfinite(found).sum() >= 3


def test_a_polygon_across_the_antimeridian_meets_both_ends_of_a_world() -> None:
    world = np.zeros((180, 360))
    world[:, 359], world[:, 0] = 1, 3
    x, y = pyproj.Transformer.from_crs(4326, 32760, always_xy=True).transform(180, -17)
    polygon = np.array([shapely.box(x - 20_000, y - 1000, x + 20_000, y + 1000)])
    source = Memory(world, Affine(1, 0, -180, 0, -1, 90), "EPSG:4326")
    assert means(polygon, pyproj.CRS(32760), source)[0] == pytest.approx(2, abs=0.02)


def test_longitudes_beyond_180_degrees_are_refused_where_they_would_mislead() -> None:
    source = Memory(heights(), Affine(1, 0, 190, 0, -0.5, 60), "EPSG:4326")
    with pytest.raises(GridError, match=r"height\.tif: its longitudes.*got 190 to 318.*gdalwarp"):
        means(some_polygons(), UTM, source)


def test_only_what_lies_around_the_polygons_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    near, apart = Memory(heights()), Memory(heights())
    x, y = np.meshgrid(465300 + 20.0 * np.arange(5), 5079800 + 20.0 * np.arange(5))
    means(shapely.box(x, y, x + 10, y + 10).ravel(), UTM, near)
    assert sum(near.read_cells) == 9 * 9
    monkeypatch.setattr(zonal_means, "READ_CELLS", 10)
    ends = shapely.box([465180, 466450], [5080240, 5079290], [465190, 466460], [5080250, 5079300])
    means(ends, UTM, apart)
    assert sum(apart.read_cells) < 10, "a pixel each, and their neighbours"


def test_a_large_window_is_read_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(zonal_means, "MAX_CELLS", 1000)
    source = Memory(heights())
    whole = np.array([shapely.box(465180, 5079290, 466460, 5080250)])
    assert means(whole, UTM, source)[0] == pytest.approx(np.nanmean(source.array))
    assert max(source.read_cells) <= 1000 and sum(source.read_cells) == 96 * 128


def test_no_polygons_have_no_means() -> None:
    assert means(np.empty(0, object), UTM, Memory(heights())).tolist() == []
