"""Integer windows over a grid of any CRS, rotated and south-up too."""

from __future__ import annotations

import math

import numpy as np
import pyproj
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox

from geoseg import grid, ground
from geoseg.errors import GridError
from geoseg.grid import Window

UTM = GeoBox((96, 128), Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000), "EPSG:32633")


def moved(transform: Affine, crs: str = "EPSG:32633") -> GeoBox:
    return GeoBox((96, 128), transform, crs)


class TestWindow:
    @pytest.mark.parametrize(("height", "width"), [(0, 5), (5, 0), (-1, 5)])
    def test_it_needs_pixels(self, height: int, width: int) -> None:
        with pytest.raises(GridError, match=f"{height} x {width}"):
            Window(0, 0, height, width)

    def test_its_slices_cut_rows_before_columns(self) -> None:
        array = np.arange(96 * 128).reshape(96, 128)
        cut = array[Window(3, 5, 2, 4).slices]
        assert cut.shape == (2, 4)
        assert cut[0, 0] == 3 * 128 + 5

    def test_expanding_adds_pixels_on_each_side(self) -> None:
        assert Window(0, 10, 4, 6).expand(3) == Window(-3, 7, 10, 12)

    def test_windows_that_only_touch_do_not_meet(self) -> None:
        assert Window(0, 0, 4, 4).intersect(Window(4, 0, 4, 4)) is None
        assert Window(0, 0, 4, 4).intersect(Window(0, 3, 1, 9)) == Window(0, 3, 1, 1)

    def test_meeting_does_not_depend_on_the_order(self) -> None:
        one, other = Window(-3, 2, 10, 4), Window(0, -5, 3, 9)
        assert one.intersect(other) == other.intersect(one) == Window(0, 2, 3, 2)

    def test_relative_counts_from_the_corner_of_the_other(self) -> None:
        assert Window(5, 9, 2, 3).relative_to(Window(4, 10, 1, 1)) == Window(1, -1, 2, 3)

    def test_equal_windows_are_one_key(self) -> None:
        assert len({Window(1, 2, 3, 4), Window(1, 2, 3, 4)}) == 1

    def test_its_transform_starts_at_its_corner_on_a_rotated_grid(self) -> None:
        rotated = Affine.translation(100, 200) @ Affine.rotation(30) @ Affine.scale(2, -2)
        window = Window(7, 11, 5, 5)
        assert window.transform(rotated) @ (0, 0) == pytest.approx(rotated @ (11, 7))
        assert window.transform(rotated) @ (3, 2) == pytest.approx(rotated @ (14, 9))


class TestSplit:
    @pytest.mark.parametrize("size", [1, 7, 64, 200])
    def test_windows_partition_the_area(self, size: int) -> None:
        owners = np.zeros((40, 50), int)
        for window in grid.split(Window(3, 5, 30, 41), size):
            owners[window.slices] += 1
        assert owners.sum() == 30 * 41
        assert (owners[3:33, 5:46] == 1).all()

    @pytest.mark.parametrize("size", [0, -8])
    def test_the_size_is_positive(self, size: int) -> None:
        with pytest.raises(GridError, match=str(size)):
            list(grid.split(Window(0, 0, 5, 5), size))


class TestTiles:
    @pytest.mark.parametrize(("core", "halo", "stride"), [(64, 16, 16), (32, 0, 32), (40, 8, 8)])
    @pytest.mark.parametrize("shape", [(96, 128), (97, 131), (9, 17)])
    def test_cores_partition_and_reads_stay_on_the_stride(
        self, shape: tuple[int, int], core: int, halo: int, stride: int
    ) -> None:
        owners = np.zeros(shape, int)
        for tile in grid.tiles(shape, core, halo, multiple_of=stride):
            owners[tile.core.slices] += 1
            read = tile.read
            assert all(v % stride == 0 for v in (read.row, read.col, read.height, read.width))
            assert read.intersect(tile.core) == tile.core
            assert min(read.row, read.col) >= 0
            assert max(read.stop[0] - shape[0], read.stop[1] - shape[1]) < stride
        assert (owners == 1).all()

    def test_a_core_sees_its_halo_on_every_side_that_has_one(self) -> None:
        middle = list(grid.tiles((96 * 3, 128 * 3), 96, 32, multiple_of=32))[5]
        assert middle.core == Window(96, 96, 96, 96)
        assert middle.read == Window(64, 64, 160, 160)

    def test_an_area_has_the_tiles_the_whole_raster_has_there(self) -> None:
        everything = list(grid.tiles((96, 128), 32, 8, multiple_of=8))
        area = Window(32, 64, 64, 64)
        some = list(grid.tiles((96, 128), 32, 8, multiple_of=8, area=area))
        assert some == [tile for tile in everything if tile.core.intersect(area)]
        assert len(some) == 4

    @pytest.mark.parametrize(
        ("core", "halo", "area", "name"),
        [
            (250, 64, None, "core"),
            (256, 10, None, "halo"),
            (256, 64, Window(5, 0, 9, 9), "row"),
            (256, 64, Window(0, 5, 9, 9), "col"),
        ],
    )
    def test_what_is_off_the_stride_is_named(
        self, core: int, halo: int, area: Window | None, name: str
    ) -> None:
        with pytest.raises(GridError, match=f"{name} is not a multiple.*a multiple of 32"):
            list(grid.tiles((96, 128), core, halo, multiple_of=32, area=area))

    def test_a_negative_halo_is_refused(self) -> None:
        with pytest.raises(GridError, match="halo is negative; got -8"):
            list(grid.tiles((96, 128), 64, -8))


class TestCrop:
    def test_a_crop_starts_five_columns_east_and_three_rows_south(self) -> None:
        affine = Affine(0.5, 0, 500_000 + 2.5, 0, -0.5, 5_000_000 - 1.5)
        assert grid.crop(UTM, Window(3, 5, 20, 30)) == GeoBox((20, 30), affine, "EPSG:32633")

    def test_a_grid_without_a_crs_is_nowhere(self) -> None:
        with pytest.raises(GridError, match="without a CRS"):
            grid.crs_of(GeoBox((2, 3), Affine.identity(), None))

    def test_a_crop_may_reach_outside(self) -> None:
        crop = grid.crop(UTM, Window(-2, -4, 10, 10))
        assert crop.affine @ (0, 0) == (500_000 - 4 * 0.5, 5_000_000 + 2 * 0.5)


class TestMisfit:
    def test_a_grid_fits_itself_whatever_spells_its_crs(self) -> None:
        wkt = pyproj.CRS.from_epsg(32633).to_wkt()
        assert grid.misfit(UTM, moved(UTM.affine, wkt)) is None

    def test_a_ten_thousandth_of_a_pixel_does_not_matter(self) -> None:
        assert grid.misfit(UTM, moved(Affine.translation(0.00005, 0) @ UTM.affine)) is None

    def test_half_a_pixel_is_named_row_first(self) -> None:
        shifted = moved(Affine.translation(0.25, 0) @ UTM.affine)
        assert grid.misfit(UTM, shifted) == "shifted by (0.000, 0.500) px"

    def test_another_size_crs_or_resolution_is_named(self) -> None:
        narrow = GeoBox((96, 127), UTM.affine, UTM.crs)
        assert "96 x 127 px" in str(grid.misfit(UTM, narrow))
        assert "EPSG:32634" in str(grid.misfit(UTM, moved(UTM.affine, "EPSG:32634")))
        assert "shifted" in str(grid.misfit(UTM, moved(UTM.affine @ Affine.scale(1.01))))

    def test_a_flipped_grid_does_not_fit(self) -> None:
        south_up = moved(Affine(0.5, 0, 500_000, 0, 0.5, 5_000_000 - 48))
        assert grid.misfit(UTM, south_up) == "shifted by (96.000, 0.000) px"

    def test_a_transposed_grid_with_the_same_corners_does_not_fit(self) -> None:
        square = GeoBox((64, 64), Affine(1, 0, 0, 0, -1, 64), "EPSG:32633")
        transposed = GeoBox((64, 64), Affine(0, 1, 0, -1, 0, 64), "EPSG:32633")
        assert grid.misfit(square, transposed) is not None


class TestGsd:
    def test_a_utm_pixel_on_the_central_meridian_is_longer_by_the_scale_factor(self) -> None:
        assert ground.gsd_m(UTM) == pytest.approx(0.5 / 0.9996, rel=1e-6)

    def test_web_mercator_shrinks_with_the_cosine_of_the_latitude(self) -> None:
        at_60 = GeoBox((96, 128), Affine(10, 0, 0, 0, -10, 8_399_737.9), "EPSG:3857")
        assert ground.gsd_m(at_60) == pytest.approx(10 * math.cos(math.radians(60)), rel=0.005)

    def test_degrees_are_metres_on_the_ellipsoid(self) -> None:
        """At 45 N a degree is 78 847 m east and 111 132 m north (WGS 84 meridian radii)."""
        box = GeoBox((2, 4), Affine(1e-4, 0, 15, 0, -2e-4, 45.0002), "EPSG:4326")
        assert ground.gsd_m(box) == pytest.approx((78_847 * 1e-4 + 111_132 * 2e-4) / 2, rel=1e-4)

    @pytest.mark.parametrize(
        ("crs", "x", "y"), [("EPSG:28992", 155_000, 463_000), ("EPSG:3577", -1_000_000, -3_000_000)]
    )
    def test_rotation_and_direction_do_not_change_it(self, crs: str, x: float, y: float) -> None:
        turned = Affine.translation(x, y) @ Affine.rotation(30) @ Affine.scale(2, 2)
        plain = Affine(2, 0, x, 0, -2, y)
        assert ground.gsd_m(moved(turned, crs)) == pytest.approx(2, rel=0.02)
        assert ground.gsd_m(moved(turned, crs)) == pytest.approx(
            ground.gsd_m(moved(plain, crs)), rel=0.01
        )

    def test_a_pixel_on_mars_is_measured_on_mars(self) -> None:
        mars = "+proj=eqc +lat_ts=0 +R=3396190 +units=m"
        assert ground.gsd_m(moved(Affine(5, 0, 0, 0, -5, 0), mars)) == pytest.approx(5, rel=1e-4)

    def test_a_grid_that_is_nowhere_has_none(self) -> None:
        local = (
            'ENGCRS["site",EDATUM["site"],CS[Cartesian,2],AXIS["x",east],AXIS["y",north],'
            'LENGTHUNIT["metre",1]]'
        )
        with pytest.raises(GridError, match="not tied to the ground; got site"):
            ground.gsd_m(moved(Affine(1, 0, 0, 0, -1, 0), local))
