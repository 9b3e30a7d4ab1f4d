"""Reports on maps at the antimeridian, at the poles and in degrees."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from published import SCHEME, truth
from report_pages import parsed, publish_evaluated, words
from small_scene import MakeRaster

from geoseg.raster import FileSource
from geoseg.report import PageContent, render_page
from geoseg.report.class_areas import areas_of
from geoseg.report.mercator_frame import frame_of


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published map; tests leave it as it is."""
    return publish_evaluated(tmp_path_factory.mktemp("made") / "area")


def box(crs: str, x: float, y: float, step: float = 10.0) -> GeoBox:
    return GeoBox((96, 128), Affine(step, 0, x, 0, -step, y), crs)


class TestPlaces:
    def test_a_map_across_the_antimeridian_stays_in_one_piece(self) -> None:
        """EPSG:3832 is centred on 150 degrees east: 180 is 3 339 585 m east of that."""
        frame = frame_of(box("EPSG:3832", 3_339_585 - 640, 480), 4096)
        assert frame is not None
        assert sorted({round(lon, 4) for lon, _ in frame.corners()}) == [-180.0057, -179.9942]

    def test_a_map_around_a_pole_has_no_frame(self) -> None:
        assert frame_of(box("EPSG:3031", -640, 480), 4096) is None

    def test_the_page_of_such_a_map_says_so(self, made: Path, make_raster: MakeRaster,
                                            tmp_path: Path) -> None:  # fmt: skip
        path = make_raster(
            tmp_path / "classes.tif", truth(), nodata=255, crs="EPSG:3031",
            transform=Affine(10, 0, -640, 0, -10, 480),
        )  # fmt: skip
        found = parsed(render_page(PageContent("T", SCHEME, FileSource(path))))
        assert "The map lies around a pole" in words(found)
        assert "All classes" in words(found)

    def test_a_map_of_the_whole_earth_is_cut_where_web_maps_end(self) -> None:
        frame = frame_of(GeoBox((180, 360), Affine(1, 0, -180, 0, -1, 90), "EPSG:4326"), 512)
        assert frame is not None
        assert frame.cut
        (west, north), _, (east, south), _ = frame.corners()
        assert (west, east) == pytest.approx((-180, 180))
        assert (north, south) == pytest.approx((85.0511, -85.0511), abs=1e-3)

    def test_areas_in_degrees_follow_the_latitude(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        """A degree square has 12 309 km2 at the equator and 6 192 at 59.5 degrees north
        (on the WGS84 ellipsoid)."""
        ids = np.zeros((61, 2), np.uint8)
        ids[0] = 1
        path = make_raster(
            tmp_path / "classes.tif", ids, nodata=255, crs="EPSG:4326",
            transform=Affine(1, 0, 10, 0, -1, 60),
        )  # fmt: skip
        ids[1:] = 255
        ids[60] = 0
        sparse = make_raster(
            tmp_path / "sparse.tif", ids, nodata=255, crs="EPSG:4326",
            transform=Affine(1, 0, 10, 0, -1, 60),
        )  # fmt: skip
        assert path.is_file()
        found = areas_of(PageContent("T", SCHEME, FileSource(sparse)))
        assert found is not None
        assert [row.pixels for row in found.rows] == [2, 2]
        assert found.rows[1].area_m2 / 2e6 == pytest.approx(6_307, rel=0.03)
        assert found.rows[0].area_m2 / 2e6 == pytest.approx(12_308, rel=0.01)
