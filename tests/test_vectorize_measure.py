"""Areas and perimeters on the ground, against hand counts and geodesics."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg.errors import GridError
from geoseg.ground import areas_m2, perimeters_m
from geoseg.polygonize import ArraySource, collect, trace

GEOD = pyproj.Geod(ellps="WGS84")


def grid_of(affine: Affine, crs: Any, shape: tuple[int, int] = (96, 128)) -> GeoBox:
    return GeoBox(shape, affine, crs)


@pytest.mark.parametrize(
    "affine",
    [
        Affine(10, 0, 465180, 0, -10, 5080250),
        Affine(0.05, 0, 465180.03, 0, -0.05, 5080250.07),
        Affine(0.3, 0, 465180.1, 0, 0.3, 5080250.7),
        Affine(8.0, 3.7, 465181.05223, 3.1, -9.3, 5080254.63349),
    ],
    ids=["10 m", "5 cm", "south-up", "rotated"],
)
def test_an_area_in_utm_is_pixel_count_times_pixel_area_exactly(affine: Affine) -> None:
    values = np.random.default_rng(1).integers(0, 3, (96, 128), dtype=np.uint8)
    geobox = grid_of(affine, "EPSG:32633")
    regions = collect(trace(ArraySource(values, geobox)))
    found = areas_m2(regions.geometries, geobox)
    assert found.tolist() == (regions.pixels * abs(affine.determinant)).tolist()
    lengths = perimeters_m(regions.geometries, geobox)
    assert lengths == pytest.approx(shapely.length(regions.geometries), abs=1e-6)


def test_a_simplified_outline_has_its_own_area() -> None:
    geobox = grid_of(Affine(10, 0, 465180, 0, -10, 5080250), "EPSG:32633")
    triangle = shapely.Polygon([(465180, 5080250), (465210, 5080250), (465180, 5080230)])
    odd = shapely.Polygon([(465180, 5080250), (465183.3, 5080250), (465180, 5080247.7)])
    assert areas_m2(np.array([triangle, odd]), geobox) == pytest.approx([300, 3.3 * 2.3 / 2])


def test_holes_and_parts_count() -> None:
    geobox = grid_of(Affine(1, 0, 0, 0, -1, 9), "EPSG:32633")
    ring = shapely.box(0, 0, 9, 9).difference(shapely.box(1, 1, 3, 3))
    pair = shapely.multipolygons([ring, shapely.box(20, 0, 22, 1)])
    assert areas_m2(np.array([ring, pair]), geobox).tolist() == [77, 79]
    assert perimeters_m(np.array([ring, pair]), geobox).tolist() == [44, 50]
    assert areas_m2(np.empty(0, object), geobox).tolist() == []
    assert perimeters_m(np.empty(0, object), geobox).tolist() == []


def geodesic(geometry: Any, crs: Any, step: float) -> tuple[float, float]:
    """Area and perimeter by geodesics between vertices that are close together."""
    crs = pyproj.CRS(crs)
    to_lonlat = pyproj.Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    dense = shapely.segmentize(geometry, step)
    lonlat = shapely.transform(dense, to_lonlat.transform, interleaved=False)
    area, length = crs.get_geod().geometry_area_perimeter(shapely.orient_polygons(lonlat))
    return abs(area), length


@pytest.mark.parametrize(
    ("crs", "affine", "step"),
    [
        (4326, Affine(0.0005, 0, 14, 0, -0.0005, 46), 1e-5),
        (4326, Affine(0.01, 0, 179.5, 0, -0.01, -60), 1e-4),
        (4326, Affine(0.0005, 0.0002, 14, 0.0001, -0.0005, 46), 1e-5),
        (3857, Affine(10, 0, 1558472, 0, -10, 5780349), 1),
        (3035, Affine(10, 0, 4321000, 0, -10, 3210000), 1),
        (3413, Affine(25e3, 0, -3.85e6, 0, -25e3, 5.85e6), 500),
        (2263, Affine(100, 0, 985000, 0, -100, 200000), 10),
        (2154, Affine(5, 0, 700000, 0, -5, 6600000), 0.5),
        (27700, Affine(5, 0, 400000, 0, -5, 300000), 0.5),
    ],
)
def test_areas_and_perimeters_elsewhere_are_those_on_the_ellipsoid(
    crs: int, affine: Affine, step: float
) -> None:
    geobox = grid_of(affine, crs)
    col, row = 40, 50
    corners = [affine @ (col + i, row + j) for i, j in ((0, 0), (0, 7), (9, 7), (9, 2), (4, 2))]
    shape = shapely.orient_polygons(shapely.Polygon(corners))
    area, length = geodesic(shape, crs, step)
    if crs == 27700:  # transverse Mercator in metres: in the plane
        area, length = shape.area, shape.length
    assert areas_m2(np.array([shape]), geobox)[0] == pytest.approx(area, rel=2e-6)
    assert perimeters_m(np.array([shape]), geobox)[0] == pytest.approx(length, rel=1e-6)


def test_the_pixels_of_a_whole_world_add_up_to_the_earth() -> None:
    values = np.random.default_rng(2).integers(0, 3, (90, 180), dtype=np.uint8)
    geobox = grid_of(Affine(2, 0, -180, 0, -2, 90), 4326, (90, 180))
    regions = collect(trace(ArraySource(values, geobox)))
    earth = 510_065_621_724_088.5
    assert areas_m2(regions.geometries, geobox).sum() == pytest.approx(earth, rel=1e-9)


def test_where_the_crs_keeps_areas_they_are_exact_too() -> None:
    values = np.random.default_rng(2).integers(0, 3, (48, 64), dtype=np.uint8)
    geobox = grid_of(Affine(10, 0, 4321000, 0, -10, 3210000), 3035, (48, 64))
    regions = collect(trace(ArraySource(values, geobox)))
    assert (areas_m2(regions.geometries, geobox) == regions.pixels * 100).all()


@pytest.mark.parametrize(
    "crs",
    [pyproj.CRS("EPSG:32633+5773").to_wkt(), "+proj=utm +zone=33 +ellps=WGS84 +towgs84=1,2,3"],
)
def test_heights_and_datum_shifts_do_not_make_it_another_plane(crs: str) -> None:
    geobox = grid_of(Affine(0.05, 0, 465180.03, 0, -0.05, 5080250.07), crs)
    x, y = geobox.affine @ (3, 1)
    shape = np.array([shapely.box(465180.03, y, x, 5080250.07)])
    assert areas_m2(shape, geobox)[0] == 3 * abs(geobox.affine.determinant)
    assert perimeters_m(shape, geobox)[0] == pytest.approx(0.4)


def test_a_plane_that_is_nowhere_has_no_square_metres() -> None:
    nowhere = 'LOCAL_CS["a site",UNIT["metre",1]]'
    geobox = grid_of(Affine(1, 0, 0, 0, -1, 9), nowhere)
    with pytest.raises(GridError, match="not tied to the ground"):
        areas_m2(np.array([shapely.box(0, 0, 1, 1)]), geobox)
