"""The pictures and polygons that a report draws."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image
from published import truth
from report_pages import Page, parsed, picture_of, publish_evaluated, subject_of, words
from small_scene import MakeRaster

import geoseg
from geoseg.classes import ClassScheme
from geoseg.raster import FileSource
from geoseg.report import drawn_polygons, render_page
from geoseg.report.mercator_frame import frame_of
from geoseg.report.pictures import class_ids, class_picture, scene_picture, shrunk
from geoseg.vector.layer import open_layer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published map; tests leave it as it is."""
    return publish_evaluated(tmp_path_factory.mktemp("made") / "area")


@pytest.fixture(scope="module")
def html(made: Path) -> str:
    return (made / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return parsed(html)


class TestPictures:
    def test_the_class_picture_has_the_ids_of_the_map(self, page: Page) -> None:
        """On the central meridian the grid of UTM is that of the picture but for its scale."""
        image = picture_of(page.by_id("classes")["src"])
        wanted = np.where(truth() == 255, 2, truth())
        assert image.mode == "P"
        assert image.size == (128, 96)
        found = np.asarray(image)
        assert (found == wanted).mean() > 0.99
        assert image.getpalette()[:6] == [127, 166, 80, 43, 131, 186]  # type: ignore[index]
        assert image.info["transparency"] == 2

    def test_the_scene_is_transparent_where_it_has_no_data(self, page: Page) -> None:
        image = picture_of(page.by_id("scene")["src"])
        assert (image.format, image.mode) == ("WEBP", "RGBA")
        alpha = np.asarray(image)[..., 3]
        assert ((alpha == 0) == (truth() == 255)).mean() > 0.99

    def test_corners_are_longitude_and_latitude(self, page: Page) -> None:
        """15 degrees east is 500 km; 320 m there are 0.00407 degrees, 240 m north 0.00216."""
        corners = json.loads(page.scripts[0])["corners"]
        (west, north), (east, _), (_, south), _ = corners
        assert (west, north) == pytest.approx((15.0, 45.1535), abs=1e-3)
        assert (east - west, north - south) == pytest.approx((0.00407, 0.00216), abs=3e-5)

    def test_a_large_map_gets_a_picture_of_the_size_asked_for(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        ids = np.zeros((300, 700), np.uint8)
        ids[:, 350:] = 1
        source = FileSource(make_raster(tmp_path / "classes.tif", ids, nodata=255))
        frame = frame_of(source.geobox, 100)
        assert frame is not None
        assert max(frame.geobox.shape) == 100
        assert frame.shrunk == pytest.approx(7, rel=0.02)
        assert max(shrunk(source, 100).geobox.shape) == 125
        found = class_ids(source, frame)
        assert (found[:, 2:48] == 0).all()
        assert (found[:, 53:98] == 1).all()

    def test_a_picture_of_one_band_is_grey(self, made: Path) -> None:
        source = FileSource(made.parent / "scene.tif").take((0,))
        frame = frame_of(source.geobox, 100)
        assert frame is not None
        pixels = np.asarray(picture_of(scene_picture(source, frame).uri)).astype(int)
        assert np.ptp(pixels[..., :3], axis=2).max() <= 4, "but for what WebP loses"

    def test_254_classes_and_nothing_fit_into_a_palette(self) -> None:
        scheme = ClassScheme(
            classes=tuple({"name": str(i), "color": f"#0000{i:02x}"} for i in range(255))
        )
        ids = np.array([[0, 254, 255]], np.uint8)
        image = Image.open(io.BytesIO(class_picture(ids, scheme).data))
        assert np.asarray(image.convert("RGBA"))[0, :, 2:].tolist() == [
            [0, 255],
            [254, 255],
            [0, 0],
        ]


class TestPolygons:
    def test_they_lie_where_the_map_does_with_class_area_and_confidence(self, page: Page) -> None:
        found = json.loads(page.scripts[1])["features"]
        assert [each["properties"]["c"] for each in found] == [0, 1, 0]
        assert [each["properties"]["a"] for each in found] == [59400, 13750, 1250]
        assert all(0 < each["properties"]["p"] <= 100 for each in found)
        shapes = [shapely.geometry.shape(each["geometry"]) for each in found]
        west, _, _, north = shapely.total_bounds(shapes)
        assert (west, north) == pytest.approx((15.0, 45.1535), abs=1e-3)
        assert shapely.coverage_is_valid(shapes)

    def test_the_largest_are_kept_and_the_page_says_how_many(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(drawn_polygons, "MOST_POLYGONS", 2)
        layer = open_layer(made.parent / "landcover.gpkg", None)
        found = parsed(render_page(replace(subject_of(made), polygons=layer)))
        features = json.loads(found.scripts[1])["features"]
        assert [each["properties"]["a"] for each in features] == [59400, 13750]
        assert "The largest 2 of 3 polygons are drawn here" in words(found)

    def test_so_is_what_has_room(self, made: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        layer = open_layer(made.parent / "landcover.geojson", None)
        frame = frame_of(FileSource(made / "classes.tif").geobox, 4096)
        assert frame is not None
        monkeypatch.setattr(drawn_polygons, "MOST_BYTES", 450)
        drawn = drawn_polygons.draw_polygons(layer, frame)
        assert (drawn.count, drawn.of, drawn.tolerance_px) == (1, 3, 6.0)

    def test_a_geoparquet_file_is_drawn_too(self, made: Path, tmp_path: Path) -> None:
        path = geoseg.vectorize(made / "classes.tif", tmp_path / "land.parquet")
        frame = frame_of(FileSource(made / "classes.tif").geobox, 4096)
        assert frame is not None
        assert drawn_polygons.draw_polygons(open_layer(path, None), frame).count == 3
