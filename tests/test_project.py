"""Polygons from one CRS to another."""

from __future__ import annotations

import numpy as np
import pyproj
import pytest
import shapely

from geoseg.vector.reproject import MAX_PIECES, reproject

LONLAT = pyproj.CRS("OGC:CRS84")


def around(lon: float, lat: float, epsg: int, half_m: float) -> tuple[shapely.Polygon, pyproj.CRS]:
    """A square in a CRS of metres around a place."""
    crs = pyproj.CRS(epsg)
    x, y = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True).transform(lon, lat)
    return shapely.box(x - half_m, y - half_m, x + half_m, y + half_m), crs


def test_a_field_across_the_antimeridian_is_cut_there_with_few_vertices() -> None:
    """2 x 2 km at 52 degrees north: an edge of 2 km bends by 0.1 m, which takes 10 pieces."""
    square, crs = around(180, 52, 32660, 1000)
    (there,) = reproject(np.array([square]), crs, LONLAT)
    assert shapely.get_num_coordinates(there) < 100
    west, east = sorted(shapely.bounds(shapely.get_parts(there)).tolist())
    assert west[0] == -180 and east[2] == 180
    assert west[2] < -179.98 and east[0] > 179.98
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(there)
    assert abs(area) == pytest.approx(4e6, rel=0.001)


def test_a_field_without_the_antimeridian_keeps_its_one_polygon() -> None:
    square, crs = around(179, 52, 32660, 1000)
    (there,) = reproject(np.array([square]), crs, LONLAT)
    assert there.geom_type == "Polygon" and shapely.get_num_coordinates(there) < 100


def test_what_the_target_tears_apart_has_a_bounded_number_of_vertices() -> None:
    """Web Mercator ends at 180 degrees: an edge across it comes back on the other side."""
    square, crs = around(180, 52, 32660, 1000)
    (there,) = reproject(np.array([square]), crs, pyproj.CRS(3857))
    assert shapely.get_num_coordinates(there) <= 4 * MAX_PIECES + 1


def test_a_continent_s_edge_stays_within_a_millimetre() -> None:
    """An edge of 4 degrees along a parallel, 280 km, lies up to 2 km off the straight line."""
    box = shapely.box(13, 50, 17, 51)
    crs = pyproj.CRS(32633)
    (there,) = reproject(np.array([box]), LONLAT, crs)
    to_utm = pyproj.Transformer.from_crs(LONLAT, crs, always_xy=True)
    points = shapely.points(*to_utm.transform(np.linspace(13, 17, 997), np.full(997, 50.0)))
    assert shapely.distance(points, there.exterior).max() < 0.0011
