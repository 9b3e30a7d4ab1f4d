"""Longitudes and latitudes as GeoJSON wants them: cut at the antimeridian, rounded, still valid."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyproj
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.errors import VectorError
from geoseg.polygonize import ArraySource, Rules, collect, trace
from geoseg.vector import Features, LayerPlan, write_features
from geoseg.vector.lonlat import WGS84, rounded, to_lonlat

GEOD = pyproj.Geod(ellps="WGS84")


def moved(geometry: Any, crs: Any) -> Any:
    return to_lonlat(np.array([geometry]), pyproj.CRS(crs))[0]


def at(lon: float, lat: float, crs: int) -> tuple[float, float]:
    x, y = pyproj.Transformer.from_crs("OGC:CRS84", crs, always_xy=True).transform(lon, lat)
    return x, y


def on_ground_m2(geometry: Any) -> float:
    """The area of a polygon whose edges are short, by geodesics."""
    return abs(GEOD.geometry_area_perimeter(shapely.orient_polygons(geometry))[0])


def equal_area_m2(geometry: Any, crs: Any, around: tuple[float, float]) -> float:
    """The area of a polygon with straight edges in its CRS, by a projection that keeps areas."""
    laea = f"+proj=laea +lon_0={around[0]} +lat_0={around[1]} +datum=WGS84"
    to_plane = pyproj.Transformer.from_crs(crs, laea, always_xy=True)
    dense = shapely.segmentize(geometry, 100)
    return shapely.transform(dense, to_plane.transform, interleaved=False).area


def check_map(geometry: Any) -> None:
    assert shapely.is_valid(geometry)
    west, south, east, north = geometry.bounds
    assert -180 <= west < east <= 180 and -90 <= south < north <= 90
    for ring in shapely.get_rings(geometry):
        points = shapely.get_coordinates(ring)
        assert np.abs(points[1:] - points[:-1]).max(axis=1).all(), "no vertex stands twice"
        inside = np.abs(points[:, 1]) < 90
        steps = np.abs(np.diff(points[:, 0]))[inside[1:] & inside[:-1]]
        assert steps.max(initial=0) < 180 or np.ptp(points[:, 0]) == 360


@pytest.mark.parametrize(("zone", "lat"), [(60, -17.0), (1, 65.0), (60, 0.01)])
def test_a_polygon_of_utm_zone_60_or_1_is_cut_at_180_degrees(zone: int, lat: float) -> None:
    code = (32600 if lat > 0 else 32700) + zone
    x, y = at(180, lat, code)
    block = shapely.box(x - 5000, y - 4000, x + 7000, y + 4000)
    hole = shapely.box(x - 600, y - 500, x + 900, y + 500)
    found = moved(block.difference(hole), code)
    check_map(found)
    west, east = sorted(shapely.get_parts(found), key=lambda part: part.bounds[0])
    assert west.bounds[0] == -180 and east.bounds[2] == 180
    assert shapely.get_num_interior_rings([west, east]).tolist() == [0, 0]
    truth = equal_area_m2(block.difference(hole), code, (180, lat))
    assert on_ground_m2(found) == pytest.approx(truth, rel=1e-6)


def test_a_hole_beside_the_antimeridian_stays_a_hole() -> None:
    x, y = at(180, -17, 32760)
    hole = shapely.box(x + 100, y - 50, x + 200, y + 50)
    found = moved(shapely.box(x - 500, y - 400, x + 700, y + 400).difference(hole), 32760)
    check_map(found)
    west, east = sorted(shapely.get_parts(found), key=lambda part: part.bounds[0])
    assert shapely.get_num_interior_rings([west, east]).tolist() == [1, 0]


def test_a_long_edge_across_the_antimeridian_does_not_swell() -> None:
    x, y = at(180, -17, 32760)
    found = moved(shapely.box(x - 5000, y - 4000, x + 7000, y + 4000), 32760)
    assert shapely.get_num_coordinates(found) < 250, "160 for 40 km of edges, and the cut"


@pytest.mark.parametrize(
    ("box", "parts"),
    [
        ((179, 10, 181, 11), [(-180, 10, -179, 11), (179, 10, 180, 11)]),
        ((-181, 10, -179, 11), [(-180, 10, -179, 11), (179, 10, 180, 11)]),
        ((200, 10, 220, 11), [(-160, 10, -140, 11)]),
        ((-180, -60, 180, 60), [(-180, -60, 180, 60)]),
        ((10, -60, 350, 60), [(-180, -60, -10, 60), (10, -60, 180, 60)]),
        ((170, 10, 180, 11), [(170, 10, 180, 11)]),
    ],
)
def test_longitudes_beyond_180_degrees_come_back(box: Any, parts: list[Any]) -> None:
    found = moved(shapely.box(*box), 4326)
    check_map(found)
    assert sorted(each.bounds for each in shapely.get_parts(found)) == parts


SQUARE, SMALL = shapely.box(-1e6, -1e6, 1e6, 1e6), shapely.box(-3e5, -2e5, 3e5, 2e5)


@pytest.mark.parametrize("crs", [3995, 3413, 3031, 3976])
@pytest.mark.parametrize(
    "shape",
    [
        SQUARE,
        SQUARE.difference(SMALL),
        SQUARE.difference(shapely.box(1e5, 1e5, 2e5, 2e5)),
        shapely.box(-1e6, -1e6, 0, 1e6),
        shapely.box(-1e6, 0, 1e6, 1e6),
        SQUARE.difference(shapely.box(0, 0, 1e6, 1e6)),
        shapely.box(-9e5, 9e5, 1e5, 1.1e6),
        shapely.box(1e5, -1e6, 3e5, 1e6),
    ],
    ids=["round", "ring", "hole", "half", "other half", "three quarters", "strip", "beside"],
)
def test_the_pole_is_a_line_on_the_map(crs: int, shape: Any) -> None:
    found = moved(shape, crs)
    check_map(found)
    truth = equal_area_m2(shape, crs, (0, 90 if crs in (3995, 3413) else -90))
    cea = pyproj.Transformer.from_crs("OGC:CRS84", "+proj=cea +datum=WGS84", always_xy=True)
    mapped = shapely.transform(found, cea.transform, interleaved=False).area
    assert mapped == pytest.approx(truth, rel=1e-6)


def test_neighbours_keep_their_shared_vertices_and_stay_a_coverage() -> None:
    values = np.random.default_rng(3).integers(0, 3, (96, 128), dtype=np.uint8)
    geobox = GeoBox(values.shape, Affine(10, 0, 465180, 0, -10, 5080250), "EPSG:32633")
    regions = collect(trace(ArraySource(values, geobox)))
    assert shapely.coverage_is_valid(regions.geometries)
    found = rounded(to_lonlat(regions.geometries, pyproj.CRS(32633)))
    assert shapely.is_valid(found).all() and shapely.coverage_is_valid(found)
    assert (np.round(shapely.get_coordinates(found), 7) == shapely.get_coordinates(found)).all()
    assert shapely.is_ccw(shapely.get_exterior_ring(shapely.get_parts(found))).all()


@pytest.mark.parametrize("size_m", [0.05, 0.01, 0.003])
def test_pixels_of_a_centimetre_stay_valid_and_none_is_lost(size_m: float) -> None:
    values = np.random.default_rng(4).integers(0, 2, (48, 64), dtype=np.uint8)
    geobox = GeoBox(values.shape, Affine(size_m, 0, 465180, 0, -size_m, 5080250), "EPSG:32633")
    regions = collect(trace(ArraySource(values, geobox), rules=Rules(connectivity=8)))
    lonlat = to_lonlat(regions.geometries, pyproj.CRS(32633))
    found = rounded(lonlat)
    assert shapely.is_valid(found).all() and not shapely.is_empty(found).any()
    points = shapely.get_coordinates(found)
    assert (np.round(points, 9) == points).all()
    apart = shapely.hausdorff_distance(found, lonlat)
    assert apart.max() < 1.5e-7 * max(1, 0.02 / size_m), "a unit of the seventh decimal"


def test_pixels_of_five_centimetres_keep_seven_decimals_in_the_file(tmp_path: Path) -> None:
    corner = np.array([465180.0, 5080250.0])
    box = shapely.box(*corner, *(corner + 0.05))
    rows = pyarrow.record_batch({"class_id": pyarrow.array([0], pyarrow.int32())})
    path = tmp_path / "a.geojson"
    batch = Features(np.array([box]), rows)
    write_features(path, [batch], LayerPlan("a", rows.schema, pyproj.CRS(32633), ""))
    feature = json.loads(path.read_text(encoding="utf-8"))["features"][0]
    ring = np.array(feature["geometry"]["coordinates"][0])
    assert np.unique(ring, axis=0).shape == (4, 2)
    assert (np.round(ring, 7) == ring).all()


def test_what_has_no_longitude_is_refused() -> None:
    far = shapely.box(0, 0, 1e5, 1e5)
    with pytest.raises(VectorError, match=r"1 polygons have no longitude.*such as \.gpkg"):
        moved(shapely.affinity.translate(far, 9e9, 9e9), 3035)


def test_nothing_stays_nothing() -> None:
    none: NDArray[Any] = np.empty(0, dtype=object)
    assert len(rounded(to_lonlat(none, pyproj.CRS(32633)))) == 0
    assert WGS84.is_geographic
