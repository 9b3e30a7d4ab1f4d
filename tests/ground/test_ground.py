"""Areas and lengths on the ground, from a world map to pixels of 10 cm, on the Earth and elsewhere.

Expected numbers are worked out by hand or come from GeographicLib (`pyproj.Geod`), which follows
geodesics on the ellipsoid and shares no formula with `geoseg.ground`.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from small_scene import MakeRaster

from geoseg import grid, ground
from geoseg.classes import ClassScheme
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.polygonize import (
    ArraySource,
    DouglasPeucker,
    Regions,
    Rules,
    Visvalingam,
    collect,
    threads,
    trace,
)
from geoseg.raster import FileSource
from geoseg.report.class_areas import areas_of
from geoseg.report.page_content import PageContent
from geoseg.steps.evaluate.counters import area_confusion

WGS84_M2 = 510_065_621_724_088.5
"""The surface of the ellipsoid: 2 pi a^2 (1 + (1 - e^2) / e atanh(e))."""
MOON_M = 1_737_400.0
MOON = f"+proj=longlat +R={MOON_M} +no_defs"
MOON_PLATE = f"+proj=eqc +R={MOON_M} +units=m +no_defs"
MARS = "+proj=longlat +a=3396190 +b=3376200 +no_defs"
UTM = Affine(10, 0, 465_180, 0, -10, 5_080_250)
SITE = (
    'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],'
    'LENGTHUNIT["metre",1]]'
)
WORLD = Affine(1, 0, -180, 0, -1, 90)
WORLD_0_360 = Affine(1, 0, 0, 0, -1, 90)
ARCTIC = Affine(25e3, 0, -3.85e6, 0, -25e3, 5.85e6)


def pixel_areas(geobox: GeoBox) -> NDArray[np.float64]:
    areas = ground.pixel_areas_m2(geobox, grid.whole(geobox.shape))
    return np.broadcast_to(areas, geobox.shape)


def pixel(geobox: GeoBox, row: int, col: int) -> shapely.Polygon:
    corners = ((col, row), (col, row + 1), (col + 1, row + 1), (col + 1, row))
    return shapely.orient_polygons(shapely.Polygon([geobox.affine @ at for at in corners]))


def geodesic(shape: shapely.Polygon, crs: str) -> tuple[float, float]:
    """Area and perimeter by 500 geodesics to a side."""
    flat = pyproj.CRS(crs)
    geod = flat.get_geod()
    assert geod is not None
    base = flat.geodetic_crs
    assert base is not None
    degrees = math.degrees(base.axis_info[0].unit_conversion_factor)
    to_base = pyproj.Transformer.from_crs(flat, base, always_xy=True)
    dense = shapely.segmentize(shape, shape.length / 4 / 500)
    lonlat = shapely.transform(dense, to_base.transform, interleaved=False)
    lonlat = shapely.transform(lonlat, lambda points: points * degrees)
    area, length = geod.geometry_area_perimeter(shapely.orient_polygons(lonlat))
    return abs(area), length


class TestPixelsAndPolygons:
    @pytest.mark.parametrize(
        ("crs", "affine", "at"),
        [
            ("EPSG:4326", Affine(5e-4, 0, 14, 0, -5e-4, 46), (50, 40)),
            ("EPSG:4326", Affine(0.01, 0, 179.5, 0, -0.01, -60), (50, 60)),
            ("EPSG:4326", Affine(5e-4, 2e-4, 14, 1e-4, -5e-4, 46), (50, 40)),
            ("EPSG:4326", WORLD, (1, 127)),
            ("EPSG:3857", Affine(10, 0, 1_558_472, 0, -10, 8_399_738), (50, 40)),
            ("EPSG:3395", Affine(10, 0, 1_558_472, 0, -10, 8_399_738), (50, 40)),
            ("EPSG:3031", Affine(10, 0, 200_000, 0, -10, 100_000), (50, 40)),
            ("EPSG:3413", ARCTIC, (50, 40)),
            ("EPSG:32661", Affine(1000, 0, 1_950_000, 0, -1000, 2_050_000), (50, 40)),
            ("EPSG:2263", Affine(100, 0, 985_000, 0, -100, 200_000), (50, 40)),
            ("EPSG:2260", Affine(100, 0, 500_000, 0, -100, 2_000_000), (50, 40)),
            ("EPSG:3035", Affine(10, 0, 4_321_000, 0, -10, 3_210_000), (50, 40)),
            ("EPSG:27572", Affine(10, 0, 600_000, 0, -10, 2_200_000), (50, 40)),
            ("EPSG:4807", Affine(1e-3, 0, 2, 0, -1e-3, 52), (50, 40)),
            ("EPSG:32633", Affine(10, 0, 1_500_000, 0, -10, 5_080_250), (50, 40)),
            (MOON, Affine(0.01, 0, 181, 0, -0.01, 60), (50, 40)),
            (MOON_PLATE, Affine(1000, 0, 2e6, 0, -1000, 1.5e6), (50, 40)),
            (MARS, Affine(1e-3, 0, 30, 0, -1e-3, -70), (50, 40)),
        ],
    )
    def test_they_are_those_of_geodesics(
        self, crs: str, affine: Affine, at: tuple[int, int]
    ) -> None:
        geobox = GeoBox((96, 128), affine, crs)
        shape = pixel(geobox, *at)
        area, length = geodesic(shape, crs)
        assert pixel_areas(geobox)[at] == pytest.approx(area, rel=1e-6)
        assert ground.areas_m2(np.array([shape]), geobox)[0] == pytest.approx(area, rel=1e-6)
        lengths = ground.perimeters_m(np.array([shape]), geobox)
        assert lengths[0] == pytest.approx(length, rel=1e-6)

    @pytest.mark.parametrize(
        ("affine", "shape"),
        [
            (WORLD, (180, 360)),
            (WORLD_0_360, (180, 360)),
            (Affine(0.25, 0, -180.125, 0, -0.25, 90.125), (721, 1440)),
            (Affine(120, 0, -180, 0, -90, 90), (2, 3)),
            (Affine(1, 0, -180, 0, 1, -90), (180, 360)),
        ],
        ids=["-180 to 180", "0 to 360", "centred on the poles", "six pixels", "south-up"],
    )
    def test_the_pixels_of_a_world_map_add_up_to_the_earth(
        self, affine: Affine, shape: tuple[int, int]
    ) -> None:
        assert pixel_areas(GeoBox(shape, affine, "EPSG:4326")).sum() == pytest.approx(
            WGS84_M2, rel=1e-12
        )

    def test_a_pixel_in_mercator_at_60_north_has_a_quarter_of_its_area_on_the_map(self) -> None:
        """Web Mercator's scale is 1 / cos(60) = 2 on its sphere; on the ellipsoid the parallel is
        longer by 1 / sqrt(1 - e^2 sin^2) and the meridian by (1 - e^2) times its cube."""
        geobox = GeoBox((2, 2), Affine(10, 0, 0, 0, -10, 8_399_737.9 + 10), "EPSG:3857")
        square = 0.00669437999014 * 0.75
        scale = (1 - 0.00669437999014) / (1 - square) ** 2
        assert pixel_areas(geobox).mean() == pytest.approx(100 / 4 * scale, rel=1e-6)

    def test_a_pixel_on_the_moon_is_a_piece_of_a_sphere(self) -> None:
        geobox = GeoBox((180, 360), WORLD, MOON)
        sines = np.sin(np.radians([30, 31]))
        expected = MOON_M**2 * math.radians(1) * (sines[1] - sines[0])
        areas = pixel_areas(geobox)
        assert areas[59, 100] == pytest.approx(expected, rel=1e-12)
        assert areas.sum() == pytest.approx(4 * math.pi * MOON_M**2, rel=1e-12)

    def test_a_pixel_of_10_centimetres_in_degrees_loses_no_digits(self) -> None:
        """The first fundamental form at 45 N: M N cos(45) times the square of the step."""
        step = 1e-6
        geobox = GeoBox((2, 2), Affine(step, 0, 15, 0, -step, 45 + step), "EPSG:4326")
        root = 1 - 0.00669437999014 / 2
        area = 6_378_137**2 * (1 - 0.00669437999014) / root**2 * math.sqrt(0.5)
        expected = area * math.radians(step) ** 2
        assert pixel_areas(geobox)[1, 1] == pytest.approx(expected, rel=1e-7)

    def test_all_the_ground_around_a_pole_is_counted_once(self) -> None:
        geobox = GeoBox((80, 80), Affine(25e3, 0, -1e6, 0, -25e3, 1e6), "EPSG:3031")
        around, _ = geodesic(shapely.box(-1e6, -1e6, 1e6, 1e6), "EPSG:3031")
        assert pixel_areas(geobox).sum() == pytest.approx(around, rel=1e-6)

    def test_a_window_has_the_pixels_of_the_raster(self) -> None:
        for crs, affine in (("EPSG:4326", WORLD), ("EPSG:3413", ARCTIC), ("EPSG:32633", UTM)):
            geobox = GeoBox((90, 110), affine, crs)
            window = Window(11, 60, 40, 50)
            part = ground.pixel_areas_m2(geobox, window)
            assert np.broadcast_to(part, window.shape) == pytest.approx(
                pixel_areas(geobox)[window.slices], rel=1e-8
            )

    def test_the_exception_is_utm_where_pixels_of_10_m_have_100_m2(self) -> None:
        geobox = GeoBox((96, 128), UTM, "EPSG:32633")
        assert (pixel_areas(geobox) == 100).all()
        true, _ = geodesic(pixel(geobox, 50, 40), "EPSG:32633")
        assert true == pytest.approx(100 / 0.9996**2, rel=1e-4)

    def test_what_lies_beyond_the_edge_of_a_world_map_is_said(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        geobox = GeoBox((40, 80), Affine(5e5, 0, -2e7, 0, -5e5, 1e7), "+proj=moll +datum=WGS84")
        assert np.isfinite(pixel_areas(geobox)).all()
        corner, middle = pixel(geobox, 0, 0), pixel(geobox, 20, 40)
        found = ground.areas_m2(np.array([corner, middle]), geobox)
        assert np.isnan(found).tolist() == [True, False]
        assert "1 polygons reach beyond the edge" in caplog.text


class TestLengths:
    def test_units_are_metres_on_the_ellipsoid_of_the_crs(self) -> None:
        assert ground.metres_per_unit(pyproj.CRS(2263)) == pytest.approx(1200 / 3937)
        degree, grad = math.radians(1), math.pi / 200
        assert ground.metres_per_unit(pyproj.CRS(4326)) == pytest.approx(6_378_137 * degree)
        assert ground.metres_per_unit(pyproj.CRS(4807)) == pytest.approx(6_378_249.2 * grad)
        assert ground.metres_per_unit(pyproj.CRS(MOON)) == pytest.approx(MOON_M * degree)

    def test_a_degree_at_45_north_is_78_847_m_east_and_111_132_m_north(self) -> None:
        found = ground.unit_lengths_m(pyproj.CRS(4326), np.array([45.0]))
        assert found[0] == pytest.approx([78_847, 111_132], abs=1)

    def test_a_line_around_the_world_is_as_long_as_the_equator(self) -> None:
        found = ground.distance_m(pyproj.CRS(4326), (-180, 0), (180, 0))
        assert found == pytest.approx(2 * math.pi * 6_378_137, rel=1e-9)

    def test_grads_are_no_degrees(self) -> None:
        geobox = GeoBox((96, 128), Affine(10, 0, 600_000, 0, -10, 2_200_000), "EPSG:27572")
        assert ground.gsd_m(geobox) == pytest.approx(10, rel=2e-3)

    def test_scenes_of_different_bodies_do_not_meet(self) -> None:
        earth, moon = (GeoBox((9, 9), WORLD, crs) for crs in ("EPSG:4326", MOON))
        assert ground.meet(earth, earth)
        assert ground.meet(moon, GeoBox((9, 9), Affine(1e5, 0, -5.4e6, 0, -1e5, 2.7e6), MOON_PLATE))
        assert not ground.meet(earth, moon)


class TestWithoutGround:
    @pytest.mark.parametrize("crs", [SITE, 'LOCAL_CS["site",UNIT["metre",1]]', "EPSG:4978", None])
    def test_nothing_is_measured(self, crs: str | None) -> None:
        geobox = GeoBox((4, 4), Affine(1, 0, 0, 0, -1, 4), crs)
        shapes = np.array([shapely.box(0, 0, 1, 1)])
        rules = Rules(min_area_m2=2)
        for measure in (
            lambda: ground.areas_m2(shapes, geobox),
            lambda: ground.perimeters_m(shapes, geobox),
            lambda: ground.pixel_areas_m2(geobox, Window(0, 0, 1, 1)),
            lambda: ground.gsd_m(geobox),
            lambda: collect(trace(ArraySource(np.eye(4, dtype=np.uint8), geobox), rules=rules)),
        ):
            with pytest.raises(GridError, match="ground.* Next: "):
                measure()

    def test_coordinates_that_are_nowhere_are_refused(self) -> None:
        far = GeoBox((4, 4), Affine(1, 0, 5e6, 0, -1, 5e6), "EPSG:4326")
        with pytest.raises(GridError, match="outside its CRS; got 5000002, 4999998 in WGS 84"):
            ground.gsd_m(far)
        beyond = GeoBox((4, 4), Affine(1, 0, 9e9, 0, -1, 9e9), "EPSG:3035")
        with pytest.raises(GridError, match="does not reach the raster; got ETRS89"):
            ground.pixel_areas_m2(beyond, Window(0, 0, 1, 1))


def traced(values: NDArray[np.uint8], affine: Affine, crs: str, **rules: Any) -> Regions:
    classes = ArraySource(values, GeoBox(values.shape, affine, crs))
    strip_rows = rules.pop("strip_rows", None)
    return collect(trace(classes, rules=Rules(**rules), spread=threads(1), strip_rows=strip_rows))


def dotted(shape: tuple[int, int], *places: tuple[int, int]) -> NDArray[np.uint8]:
    values = np.zeros(shape, np.uint8)
    for place in places:
        values[place] = 1
    return values


class TestMerging:
    """A dot stays where its pixel is at least as large as the smallest area, and goes elsewhere."""

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("crs", "affine", "shape", "small", "large"),
        [
            # degrees: 6.1e9 m2 at 60 north, 12.3e9 m2 at the equator
            ("EPSG:4326", WORLD, (180, 360), (30, 90), (90, 90)),
            ("EPSG:4326", WORLD_0_360, (180, 360), (150, 355), (89, 180)),
            # Web Mercator: a tenth of the equator's at 72 north
            ("EPSG:3857", Affine(2e5, 0, -2e7, 0, -2e5, 2e7), (200, 200), (41, 9), (100, 150)),
            # polar stereographic: pixels shrink away from the pole
            ("EPSG:3413", ARCTIC, (448, 304), (440, 20), (234, 154)),
            (MOON, WORLD, (180, 360), (30, 90), (90, 90)),
            (MOON_PLATE, Affine(3e4, 0, -5.4e6, 0, -3e4, 2.7e6), (180, 360), (20, 9), (90, 90)),
        ],
        ids=["degrees", "0 to 360", "Mercator", "pole", "Moon", "Moon in metres"],
    )
    def test_goes_by_area_on_the_ground(
        self,
        crs: str,
        affine: Affine,
        shape: tuple[int, int],
        small: tuple[int, int],
        large: tuple[int, int],
    ) -> None:
        geobox = GeoBox(shape, affine, crs)
        shapes = np.array([pixel(geobox, *small), pixel(geobox, *large)])
        least, most = ground.areas_m2(shapes, geobox)
        assert least < 0.9 * most
        values = dotted(shape, small, large)
        for limit, left in ((0.999 * least, 2), (1.001 * least, 1), (1.001 * most, 0)):
            for rows in (None, 7):
                found = traced(values, affine, crs, min_area_m2=limit, strip_rows=rows)
                assert (found.values == 1).sum() == left

    def test_a_million_square_kilometres_merge_the_islands_of_the_world(self) -> None:
        values = dotted((180, 360), (30, 90), (90, 90), (0, 5))
        values[60:80, 200:220] = 1  # 4.4e12 m2
        found = traced(values, WORLD, "EPSG:4326", min_area_m2=1e12)
        assert (found.values == 1).sum() == 1
        assert (traced(values, WORLD, "EPSG:4326", min_area_m2=1e30).values == 0).all()

    def test_holes_are_filled_by_area_on_the_ground(self) -> None:
        values = dotted((180, 360), (30, 90), (90, 90))
        found = traced(values, WORLD, "EPSG:4326", max_hole_m2=9e9)
        assert (found.values == 1).sum() == 1

    def test_the_longest_boundary_is_the_longest_on_the_ground(self) -> None:
        """At 80 north a degree east has 19 km, a degree north 112 km: three pixels side by side
        share more with the neighbour beyond their short end than with the one above."""
        for row, joined in ((89, 2), (9, 3)):
            values = np.full((180, 360), 255, np.uint8)
            values[row - 1, 100:103], values[row, 103:105] = 2, 3
            values[row, 100:103] = 1
            limit = 3.5 * pixel_areas(GeoBox(values.shape, WORLD, "EPSG:4326"))[row, 0]
            values[row - 3 : row - 1, 98:106], values[row, 105:130] = 2, 3
            found = traced(values, WORLD, "EPSG:4326", min_area_m2=limit)
            inside = shapely.Point(-180 + 101.5, 90 - row - 0.5)
            owner = [v for v, g in zip(found.values, found.geometries, strict=True)
                     if g.covers(inside)]  # fmt: skip
            assert owner == [joined]

    @pytest.mark.parametrize("rule", [Visvalingam(4e9), DouglasPeucker(70e3)])
    def test_a_region_is_simplified_as_on_a_raster_of_its_own(
        self, rule: Visvalingam | DouglasPeucker
    ) -> None:
        y, x = np.mgrid[:180, :360]
        values = np.zeros((180, 360), np.uint8)
        for row in (20, 90):
            values[np.hypot(y - row, x - 100) < 8.3] = 1
        world = traced(values, WORLD, "EPSG:4326", simplify=rule)
        north, equator = world.geometries[world.values == 1]
        for shape, row in ((north, 20), (equator, 90)):
            part = values[row - 12 : row + 13]
            affine = Affine(1, 0, -180, 0, -1, 90 - row + 12)
            alone = traced(part, affine, "EPSG:4326", simplify=rule)
            other = alone.geometries[alone.values == 1][0]
            overlap = shapely.intersection(shape, other).area / shapely.union(shape, other).area
            assert overlap > 0.99
        assert shapely.get_num_coordinates(north) < shapely.get_num_coordinates(equator)


SCHEME = ClassScheme.model_validate(
    {"classes": [{"name": name, "color": f"#00000{i}"} for i, name in enumerate("abc")]}
)


@pytest.mark.parametrize(
    ("crs", "affine", "shape"),
    [
        ("EPSG:3413", ARCTIC, (448, 304)),
        ("EPSG:4326", WORLD, (180, 360)),
        ("EPSG:4326", WORLD_0_360, (180, 360)),
        ("EPSG:3857", Affine(2e5, 0, -2e7, 0, -2e5, 2e7), (200, 200)),
        ("EPSG:32633", UTM, (96, 128)),
        ("EPSG:2263", Affine(100, 0, 985_000, 0, -100, 200_000), (96, 128)),
        (MOON, WORLD, (180, 360)),
    ],
    ids=["pole", "world", "0 to 360", "Mercator", "UTM", "feet", "Moon"],
)
def test_report_polygons_and_evaluation_agree(
    tmp_path: Path, make_raster: MakeRaster, crs: str, affine: Affine, shape: tuple[int, int]
) -> None:
    rng = np.random.default_rng(3)
    high, wide = -(-shape[0] // 8), -(-shape[1] // 8)
    patches = rng.integers(0, 4, (high, wide), dtype=np.uint8)
    ids = patches.repeat(8, 0).repeat(8, 1)[: shape[0], : shape[1]]
    ids[ids == 3] = 255
    path = make_raster(tmp_path / "classes.tif", ids, nodata=255, crs=crs, transform=affine)
    geobox = GeoBox(shape, affine, crs)

    report = areas_of(PageContent("A map", SCHEME, FileSource(path)))
    assert report is not None
    regions = collect(trace(ArraySource(ids, geobox)))
    polygons = np.bincount(regions.values, ground.areas_m2(regions.geometries, geobox))
    evaluated = area_confusion(ids, ids, grid.whole(shape), geobox, 3)

    assert [row.area_m2 for row in report.rows] == pytest.approx(polygons, rel=1e-6)
    assert evaluated.diagonal() == pytest.approx(polygons, rel=1e-6)
    assert evaluated.sum() == pytest.approx(evaluated.trace())
