"""Class rasters to polygons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio.features
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.errors import GridError, RasterError
from geoseg.grid import Window
from geoseg.raster import Band, Block
from geoseg.trace import trace
from geoseg.vector import Polygons, rasterize

NORTH_UP = Affine(10.0, 0, 465180.0, 0, -10.0, 5080250.0)
ROTATED = Affine(8.0, 3.7, 465181.05223, 3.1, -9.3, 5080254.63349)


@dataclass(frozen=True, eq=False)
class Memory:
    """A band in memory; None stands for "no nodata value"."""

    array: NDArray[Any]
    geobox: GeoBox
    nodata: int | None = None
    name: str = "memory"

    @property
    def bands(self) -> tuple[Band, ...]:
        return (Band("b1", self.nodata),)

    @property
    def dtype(self) -> np.dtype[Any]:
        return self.array.dtype

    def take(self, positions: tuple[int, ...]) -> Memory:
        return self

    def read(self, window: Window) -> Block:
        pixels = self.array[window.slices]
        return Block(pixels[None], pixels != self.nodata, grid.crop(self.geobox, window))


def source(array: Any, affine: Affine = NORTH_UP, crs: str = "EPSG:32633", **more: Any) -> Memory:
    values = np.asarray(array)
    values = values.astype(np.uint8) if values.dtype == np.int64 else values
    return Memory(values, GeoBox(values.shape, affine, crs), **more)


def patchy(seed: int, classes: int = 5) -> NDArray[np.uint8]:
    """96 x 128 pixels in patches and specks of some classes and 255."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, classes, (12, 16), dtype=np.uint8).repeat(8, 0).repeat(8, 1)
    specks = rng.integers(0, classes, (96, 128), dtype=np.uint8)
    values = np.where(rng.random((96, 128)) < 0.3, specks, coarse)
    values[rng.random((96, 128)) < 0.1] = 255
    values[30:50, 60:90] = 255
    return values


def repaint(frame: Any, geobox: GeoBox) -> NDArray[np.uint8]:
    classes = [{"name": f"c{i}", "color": "#ffffff"} for i in range(5)]
    known = ClassScheme.model_validate({"classes": classes})
    assert geobox.crs is not None
    ids = frame["class_id"].to_numpy().astype(np.uint8)
    return rasterize(Polygons(frame.geometry.to_numpy(), ids, known, geobox.crs), geobox)


@pytest.mark.parametrize("connectivity", [4, 8])
@pytest.mark.parametrize(
    ("affine", "crs"),
    [
        (NORTH_UP, "EPSG:32633"),
        (ROTATED, "EPSG:32633"),
        (Affine(1e-4, 0, 15, 0, -1e-4, 46), "EPSG:4326"),
    ],
)
def test_polygons_painted_again_are_the_map(connectivity: Any, affine: Affine, crs: str) -> None:
    raster = source(patchy(1), affine, crs)
    frame = trace(raster, connectivity=connectivity)
    assert int((repaint(frame, raster.geobox) != raster.array).sum()) == 0
    assert frame.geometry.is_valid.all()
    assert frame.crs == crs


def test_regions_are_those_that_gdal_polygonizes() -> None:
    raster = source(patchy(2))
    found = rasterio.features.shapes(raster.array, mask=raster.array != 255, transform=NORTH_UP)
    wanted = sorted((int(v), shapely.geometry.shape(s).normalize().wkt) for s, v in found)
    frame = trace(raster)
    got = sorted(zip(frame["class_id"], (g.normalize().wkt for g in frame.geometry), strict=True))
    assert got == wanted


def test_polygon_area_is_pixel_count_times_pixel_area() -> None:
    frame = trace(source(patchy(3)))
    assert (frame["area_m2"] == frame["n_pixels"] * 100.0).all()
    assert np.allclose(frame["area_m2"], frame.geometry.area, rtol=1e-12)
    assert frame["n_pixels"].sum() == (patchy(3) != 255).sum()


def test_numbers_of_a_map_small_enough_to_count() -> None:
    frame = trace(source([[0, 0, 1, 1], [0, 255, 1, 0], [2, 2, 2, 0]]))
    assert frame["class_id"].tolist() == [0, 0, 1, 2]
    assert frame["n_pixels"].tolist() == [3, 2, 3, 3]
    assert frame["perimeter_m"].tolist() == [80, 60, 80, 80]
    assert frame["confidence"].isna().all()
    assert list(frame.columns) == [
        "class_id", "area_m2", "perimeter_m", "confidence", "n_pixels", "geom",
    ]  # fmt: skip


def test_eight_neighbours_join_over_corners_into_valid_multipolygons() -> None:
    frame = trace(source([[1, 0, 0], [0, 1, 0]]), connectivity=8)
    assert frame["class_id"].tolist() == [0, 1]
    assert frame["n_pixels"].tolist() == [4, 2]
    assert frame.geometry.geom_type.tolist() == ["MultiPolygon", "MultiPolygon"]
    assert frame.geometry.is_valid.all()


def test_confidence_is_the_mean_of_the_pixels_that_have_one() -> None:
    values = source([[0, 0, 1, 2]])
    confidence = source([[80, 60, 255, 50]], nodata=255)
    got = trace(values, confidence=confidence)["confidence"].tolist()
    assert got[0] == 70 and np.isnan(got[1]) and got[2] == 50


def test_small_regions_join_their_largest_neighbour_before_tracing() -> None:
    values = np.zeros((6, 8), dtype=np.uint8)
    values[2, 2:4] = 1  # 200 m2
    values[4, 5:8] = 2  # 300 m2
    values[0, 0] = 255
    frame = trace(source(values), min_area_m2=300)
    assert frame["class_id"].tolist() == [0, 2]
    assert frame["area_m2"].tolist() == [4400, 300]
    assert len(trace(source(values), min_area_m2=200)) == 3


def test_areas_in_degrees_are_those_of_the_ellipsoid() -> None:
    frame = trace(
        source(np.zeros((96, 128), np.uint8), Affine(0.01, 0, 15, 0, -0.01, 60), "EPSG:4326")
    )
    ring = shapely.segmentize(shapely.box(15, 60 - 0.96, 16.28, 60), 0.001)
    area, _ = pyproj.Geod(ellps="WGS84").geometry_area_perimeter(ring)
    assert frame["area_m2"][0] == pytest.approx(abs(area), rel=1e-6)


def test_web_mercator_metres_are_not_believed() -> None:
    # at 60 degrees Web Mercator draws everything twice as long: a 10 m pixel is 25 m2 of ground
    at_60 = pyproj.Transformer.from_crs(4326, 3857, always_xy=True).transform(15, 60)
    frame = trace(
        source(np.zeros((3, 4), np.uint8), Affine(10, 0, at_60[0], 0, -10, at_60[1]), "EPSG:3857")
    )
    assert frame["area_m2"][0] == pytest.approx(12 * 25, rel=0.01)
    assert frame["perimeter_m"][0] == pytest.approx(14 * 5, rel=0.01)


def test_rotated_pixels_have_the_area_of_the_determinant() -> None:
    frame = trace(source([[0, 0, 1]], ROTATED))
    assert frame["area_m2"].tolist() == pytest.approx([2 * 85.87, 85.87])
    assert np.allclose(frame.geometry.area, frame["area_m2"])


def test_features_come_by_class_then_by_first_pixel() -> None:
    raster = source(patchy(4))
    frame = trace(raster)
    first = [np.argmax(np.ravel(mask)) for mask in _masks(frame, raster.geobox)]
    assert list(zip(frame["class_id"], first, strict=True)) == sorted(
        zip(frame["class_id"], first, strict=True)
    )


def _masks(frame: Any, geobox: GeoBox) -> list[NDArray[np.bool_]]:
    shape = geobox.shape[0], geobox.shape[1]
    return [
        rasterio.features.geometry_mask([g], shape, geobox.affine, invert=True)
        for g in frame.geometry
    ]


def test_a_map_without_any_class_gives_no_polygons() -> None:
    frame = trace(source(np.full((3, 4), 255, np.uint8)))
    assert len(frame) == 0 and frame.geometry.name == "geom"


def test_a_raster_of_measurements_is_refused() -> None:
    with pytest.raises(RasterError, match="no class raster; got 1 bands of float32"):
        trace(source(np.zeros((3, 4), np.float32)))


def test_a_confidence_on_another_grid_is_refused() -> None:
    with pytest.raises(GridError, match="not on the grid"):
        trace(source([[0, 0, 1]]), confidence=source([[0, 0, 1]], ROTATED))
