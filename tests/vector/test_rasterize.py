"""Polygons burned onto grids, against GDAL and by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from affine import Affine
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from polygon_layers import NORTH_UP, UTM, bounds_of, centres, grid_of, moved, scheme

from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.vector import Polygons, rasterize, read_polygons

PAIRS = Path(__file__).parents[3] / "shared" / "data" / "pairs"
SOUTH_UP = Affine(10.0, 0, 465180, 0, 10.0, 5080250)
ROTATED = Affine(8.0, 3.7, 465181.05223, 3.1, -9.3, 5080254.63349)


def polygons(shapes: list[Any], ids: list[int], classes: ClassScheme) -> Polygons:
    return Polygons(np.array(shapes, dtype=object), np.array(ids, np.uint8), classes, CRS(UTM))


def blobs(affine: Affine, count: int, seed: int, step: float | None = None) -> list[Any]:
    """Stars of 5 to 40 corners on a 96 x 128 grid; corners on multiples of ``step`` px."""
    rng = np.random.default_rng(seed)
    shapes: list[Any] = []
    while len(shapes) < count:
        corners = rng.integers(5, 40)
        angle = np.sort(rng.uniform(0, 2 * np.pi, corners))
        radius = rng.uniform(3, 30, corners)
        cols = rng.uniform(0, 128) + radius * np.cos(angle)
        rows = rng.uniform(0, 96) + radius * np.sin(angle)
        if step:
            cols, rows = np.round(cols / step) * step, np.round(rows / step) * step
        shape = shapely.Polygon(np.stack(moved(affine, cols, rows), axis=1))
        if shape.is_valid:
            shapes.append(shape)
    return shapes


def box(left: float, top: float, right: float, bottom: float) -> Any:
    """A rectangle in pixels of NORTH_UP."""
    return shapely.box(*(NORTH_UP @ (left, bottom)), *(NORTH_UP @ (right, top)))


@pytest.mark.parametrize(
    ("labels", "raster", "column"),
    [
        ("landsat7_chiapas/training_data.shp", "landsat7_chiapas/training_data.gtif", "id"),
        ("eolearn_slovenia_lulc/LULC.gpkg", "eolearn_slovenia_lulc/lulc_raster.tif", "LULC_ID"),
    ],
)
def test_no_pixel_differs_from_label_rasters_made_by_others(
    labels: str, raster: str, column: str
) -> None:
    if not (PAIRS / labels).exists():
        pytest.skip("no shared data here")
    with rasterio.open(PAIRS / raster) as dataset:
        wanted = dataset.read(1)
        geobox = GeoBox(dataset.shape, dataset.transform, dataset.crs.to_wkt())
    codes = pyogrio.read_dataframe(PAIRS / labels, columns=[column], read_geometry=False)[column]
    values = sorted({0, *codes.tolist()})
    classes = [{"name": f"c{v}", "color": "#ffffff", "values": [v]} for v in values]
    known = ClassScheme.model_validate({"classes": classes, "outside": "c0", "column": column})
    found = read_polygons(PAIRS / labels, known, crs=str(geobox.crs), bounds=bounds_of(geobox))
    got = np.array(values)[rasterize(found, geobox)]
    assert int((got != wanted).sum()) == 0


def test_centre_rule_is_gdals() -> None:
    shapes = blobs(NORTH_UP, 60, seed=1)
    ids = [i % 4 for i in range(60)]
    got = rasterize(polygons(shapes, ids, scheme("a", "b", "c", "d")), grid_of())
    ordered = sorted(zip(shapes, ids, strict=True), key=lambda each: each[1])
    wanted = rasterio.features.rasterize(
        ordered, (96, 128), fill=255, transform=NORTH_UP, dtype="uint8"
    )
    assert np.array_equal(got, wanted)
    assert set(np.unique(got)) == {0, 1, 2, 3, 255}


@pytest.mark.parametrize("affine", [NORTH_UP, SOUTH_UP, ROTATED])
def test_centre_rule_is_point_in_polygon_on_any_affine(affine: Affine) -> None:
    shapes = blobs(affine, 12, seed=2)
    hole = shapes[0].difference(shapely.affinity.scale(shapes[0], 0.5, 0.5))
    geobox = grid_of(affine)
    got = rasterize(polygons([*shapes[1:], hole], [0] * 12, scheme("a")), geobox)
    area = shapely.union_all([*shapes[1:], hole])
    assert np.array_equal(got == 0, shapely.contains_xy(area, *centres(geobox)))


@pytest.mark.parametrize("affine", [NORTH_UP, ROTATED])
def test_touched_pixels_are_those_that_share_area_with_the_polygon(affine: Affine) -> None:
    shape = blobs(affine, 1, seed=3)[0]
    got = rasterize(polygons([shape], [0], scheme("a", burn="touched")), grid_of(affine))
    cols, rows = np.meshgrid(np.arange(128), np.arange(96))
    corners = [
        moved(affine, cols + right, rows + down) for right, down in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    pixels = shapely.polygons(np.stack([np.stack(c, axis=-1) for c in corners], axis=2))
    assert np.array_equal(got == 0, shapely.area(shapely.intersection(pixels, shape)) > 1e-9)


def test_a_polygon_on_pixel_borders_touches_no_pixel_beyond_them() -> None:
    got = rasterize(polygons([box(3, 2, 7, 4)], [0], scheme("a", burn="touched")), grid_of())
    rows, cols = np.nonzero(got == 0)
    assert (rows.min(), rows.max(), cols.min(), cols.max(), len(rows)) == (2, 3, 3, 6, 8)


def test_a_sliver_takes_no_centre_but_touches_its_row() -> None:
    sliver = box(3.1, 2.1, 6.9, 2.2)
    assert (rasterize(polygons([sliver], [0], scheme("a")), grid_of()) == 255).all()
    got = rasterize(polygons([sliver], [0], scheme("a", burn="touched")), grid_of())
    assert np.argwhere(got == 0).tolist() == [[2, 3], [2, 4], [2, 5], [2, 6]]


def test_majority_goes_to_the_class_that_covers_the_largest_part() -> None:
    # pixel (0, 0): a 3/8, b 2/8, outside 3/8 -> a; pixel (0, 1): a 2/8, outside 6/8 -> outside;
    # pixel (0, 2): a 4/8, b 4/8 -> b, which lies over a
    shapes = [box(0, 0, 0.375, 1), box(0.375, 0, 0.625, 1), box(1, 0, 1.25, 1)]
    shapes += [box(2, 0, 2.5, 1), box(2.5, 0, 3, 1)]
    got = rasterize(
        polygons(shapes, [0, 1, 0, 0, 1], scheme("a", "b", burn="majority")), grid_of(shape=(1, 4))
    )
    assert got.tolist() == [[0, 255, 1, 255]]


def test_polygons_of_one_class_add_up_to_a_majority() -> None:
    thirds = [box(0, 0, 0.3, 1), box(0.7, 0, 1, 1)]
    got = rasterize(polygons(thirds, [0, 0], scheme("a", burn="majority")), grid_of(shape=(1, 2)))
    assert got.tolist() == [[0, 255]]


def test_a_higher_class_lies_over_a_lower_one_unless_priority_says_otherwise() -> None:
    shapes, ids = [box(0, 0, 4, 1), box(2, 0, 6, 1), box(0, 0, 9, 1)], [1, 0, 255]
    strip = grid_of(shape=(1, 10))
    plain = rasterize(polygons(shapes, ids, scheme("a", "b", outside="a")), strip)
    assert plain.tolist() == [[1, 1, 1, 1, 0, 0, 255, 255, 255, 0]]
    first = scheme("a", "b", outside="a").model_dump()
    first["classes"][0]["priority"] = 9
    turned = rasterize(polygons(shapes, ids, ClassScheme.model_validate(first)), strip)
    assert turned.tolist() == [[1, 1, 0, 0, 0, 0, 255, 255, 255, 0]]


def test_the_order_of_features_in_the_file_does_not_matter() -> None:
    shapes, ids = blobs(NORTH_UP, 40, seed=4), [i % 3 for i in range(40)]
    known = scheme("a", "b", "c", burn="majority")
    one = rasterize(polygons(shapes, ids, known), grid_of())
    other = rasterize(polygons(shapes[::-1], ids[::-1], known), grid_of())
    assert np.array_equal(one, other)


@pytest.mark.parametrize("burn", ["centre", "touched", "majority"])
@pytest.mark.parametrize("affine", [NORTH_UP, SOUTH_UP, ROTATED])
@pytest.mark.parametrize("step", [None, 0.5])
def test_any_window_shows_exactly_the_pixels_of_the_whole(
    burn: str, affine: Affine, step: float | None
) -> None:
    shapes = blobs(affine, 40, seed=5, step=step)
    known = polygons(shapes, [i % 3 for i in range(40)], scheme("a", "b", "c", burn=burn))
    whole = rasterize(known, grid_of(affine))
    for size in (7, 33, 64):
        pieces = np.zeros_like(whole)
        for window in grid.split(Window(0, 0, 96, 128), size):
            geobox = GeoBox(window.shape, affine @ Affine.translation(window.col, window.row), UTM)
            pieces[window.slices] = rasterize(known, geobox)
        assert np.array_equal(pieces, whole)


def test_neighbours_leave_no_gap_and_never_overlap() -> None:
    rng = np.random.default_rng(6)
    points = shapely.MultiPoint(
        np.stack(moved(NORTH_UP, rng.uniform(-20, 150, 300), rng.uniform(-20, 120, 300)), axis=1)
    )
    cells = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=box(-50, -50, 200, 200)))
    painted = sum(
        (rasterize(polygons([cell], [0], scheme("a")), grid_of()) == 0).astype(int)
        for cell in cells
    )
    assert isinstance(painted, np.ndarray)
    assert (painted.min(), painted.max()) == (1, 1)


def test_rasters_larger_than_a_piece_come_out_in_one() -> None:
    geobox = grid_of(shape=(1100, 2100))
    got = rasterize(polygons([box(1000, 1000, 1050, 1050)], [0], scheme("a")), geobox)
    assert int((got == 0).sum()) == 2500 and (got[1000:1050, 1000:1050] == 0).all()


def test_polygons_in_another_crs_than_the_grid_are_refused() -> None:
    with pytest.raises(GridError, match="another CRS"):
        rasterize(polygons([box(0, 0, 1, 1)], [0], scheme("a")), GeoBox((2, 3), NORTH_UP, 32632))
