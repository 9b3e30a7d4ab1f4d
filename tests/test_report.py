"""report.html without a browser: what stands in it, what does not, and numbers by hand."""

from __future__ import annotations

import base64
import io
import json
import os
import re
import shutil
from dataclasses import dataclass, field, replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from conftest import MakeRaster
from odc.geo.geobox import GeoBox
from PIL import Image
from published import SCHEME, make_map, truth

import geoseg
from geoseg.classes import ClassScheme
from geoseg.errors import InputError
from geoseg.job import read_record
from geoseg.raster import FileSource
from geoseg.report import PageContent, drawn_polygons, maplibre, render_page
from geoseg.report.class_areas import areas_of
from geoseg.report.mercator_frame import frame_of
from geoseg.report.pictures import class_ids, class_picture, scene_picture, shrunk
from geoseg.vector.layer import open_layer

HOSTILE = "</script><script>alert('x')</script> & \"<b>\u2028"
REPORT: dict[str, Any] = {
    "miou": 0.75, "overall_accuracy": 0.9, "n_pixels": 1000,
    "classes": [
        {"id": i, "name": name, "iou": 0.8 - i / 10, "f1": 0.88, "precision": 0.9, "recall": None,
         "support": 500}
        for i, name in enumerate(SCHEME.names)
    ],
    "confusion": [[450, 50], [50, 450]],
    "majority": {"name": SCHEME.names[0], "miou": 0.25, "overall_accuracy": 0.5},
    "scenes": [{"map": "somewhere/map"}],
    "warnings": ["seven blocks are few"],
}  # fmt: skip


@dataclass
class Page(HTMLParser):
    """Tags with their attributes, and the text in scripts and outside of them."""

    tags: list[tuple[str, dict[str, str | None]]] = field(default_factory=list)
    scripts: list[str] = field(default_factory=list)
    text: str = ""
    inside: str = ""

    def __post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.inside = tag if tag in ("script", "style") else ""
        self.text += " "
        if tag == "script":
            self.scripts.append("")

    def handle_endtag(self, tag: str) -> None:
        self.inside = ""

    def handle_data(self, data: str) -> None:
        if self.inside == "script":
            self.scripts[-1] += data
        elif not self.inside:
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]

    def by_id(self, name: str) -> dict[str, str | None]:
        (found,) = [attributes for _, attributes in self.tags if attributes.get("id") == name]
        return found


def parsed(html: str) -> Page:
    page = Page()
    page.feed(html)
    page.close()
    return page


def words(page: Page) -> str:
    return " ".join(page.text.split())


def picture_of(uri: str | None) -> Image.Image:
    assert uri is not None
    return Image.open(io.BytesIO(base64.b64decode(uri.partition(",")[2])))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A published map with an accuracy report above it; tests leave it as it is."""
    land_map = make_map(tmp_path_factory.mktemp("made") / "area")
    (land_map.parent / "report.json").write_text(json.dumps(REPORT))
    geoseg.publish(land_map, options=geoseg.PublishOptions(title="Lakes & <woods>"))
    return land_map


@pytest.fixture(scope="module")
def html(made: Path) -> str:
    return (made / "report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return parsed(html)


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made.parent, tmp_path / "area") / "map"


def subject_of(made: Path) -> PageContent:
    return PageContent(
        "T", SCHEME, FileSource(made / "classes.tif"), record=read_record(made / "run.json")
    )


class TestWhatItHolds:
    def test_it_has_a_heading_and_says_what_the_map_is(self, page: Page) -> None:
        assert "Lakes & <woods>" in words(page)
        assert "scene.tif 128 x 96 px of 2.5 m EPSG:32633 threshold" in words(page)

    def test_areas_are_pixels_times_pixel_area(self, page: Page) -> None:
        """2200 px of 6.25 m2 are 1.375 ha; 9704 are 6.065; 384 of 12 288 px are 3.1 %."""
        text = words(page)
        assert "Wälder & fields 6.07 ha 81.5 % 9,704" in text
        assert 'water "deep" <1> 1.38 ha 18.5 % 2,200' in text
        assert "All classes 7.44 ha 100.0 % 11,904" in text
        assert "Not observed, share of the raster 3.1 % 384" in text
        assert "3.1 % of the raster (384 px) has no class" in text

    def test_accuracy_is_what_the_report_says(self, page: Page) -> None:
        text = words(page)
        assert "Overall accuracy 90.0 %" in text
        assert "Mean IoU 75.0 %" in text
        assert 'water "deep" <1> 70.0 % - 88.0 % 90.0 % - 500' in text
        assert "Wälder & fields 90.0 10.0" in text, "a row of the confusion matrix"
        assert "Seven blocks are few." in text

    def test_without_an_evaluation_it_says_so(self, moved: Path) -> None:
        (moved.parent / "report.json").unlink()
        geoseg.publish(moved)
        text = words(parsed((moved / "report.html").read_text(encoding="utf-8")))
        assert "The accuracy of this map was not assessed" in text
        assert "Overall accuracy" not in text

    def test_provenance_is_that_of_the_record(self, page: Page, made: Path) -> None:
        record = read_record(made / "run.json")
        assert record is not None
        text = words(page)
        assert record.key in text
        assert all(each["sha256"] in text for each in record.inputs)
        assert f"geoseg {record.versions['geoseg']}" in text

    def test_it_links_what_lies_beside_it(self, page: Page, made: Path) -> None:
        links = [str(each["href"]) for each in page.attributes("a")]
        assert links == [
            "classes.tif", "confidence.tif", "map.qgz", "item.json", "run.json",
            "../landcover.gpkg", "../landcover.geojson",
        ]  # fmt: skip
        assert all((made / link).is_file() for link in links)

    def test_every_control_has_a_name(self, html: str, page: Page) -> None:
        labelled = {str(each.get("for")) for each in page.attributes("label")}
        for each in page.attributes("input"):
            inside = each["type"] == "checkbox"
            assert inside or each.get("aria-label") or each.get("id") in labelled
        assert len(re.findall(r'<label[^>]*><input type="checkbox"', html)) == 4

    def test_publishing_again_gives_the_same_bytes(self, moved: Path) -> None:
        options = geoseg.PublishOptions(imagery=moved.parent / "scene.tif")
        geoseg.publish(moved, options=options)
        first = (moved / "report.html").read_bytes()
        geoseg.publish(moved, options=options)
        assert (moved / "report.html").read_bytes() == first


class TestNothingFromElsewhere:
    def test_no_tag_names_another_place(self, page: Page) -> None:
        for tag, attributes in page.tags:
            for name in ("src", "href", "srcset", "action", "poster", "data"):
                value = attributes.get(name)
                if value is not None and tag != "a":
                    assert value.startswith("data:"), (tag, name, value[:60])
            assert tag not in ("iframe", "base", "object", "embed", "form")
            assert "style" not in attributes
            assert not [name for name in attributes if name.startswith("on")]

    def test_the_policy_names_the_scripts_and_styles_by_their_hash(self, html: str) -> None:
        policy = parsed(html).attributes("meta")[1]["content"]
        assert policy is not None
        assert policy.startswith("default-src 'none'; script-src 'sha256-")
        assert "unsafe" not in policy
        assert "connect-src 'none'" in policy
        for kind in ("script", "style"):
            found = re.findall(rf"<{kind}>(.*?)</{kind}>", html, re.DOTALL)
            assert len(found) == 2
            for content in found:
                digest = base64.b64encode(sha256(content)).decode()
                assert f"'sha256-{digest}'" in policy

    def test_styles_load_nothing(self, html: str) -> None:
        for style in re.findall(r"<style>(.*?)</style>", html, re.DOTALL):
            assert "@import" not in style
            assert not re.search(r"url\(\s*(?![\"']?data:)", style)

    def test_names_from_files_stay_text(self, made: Path) -> None:
        names = [each.model_copy(update={"name": HOSTILE + str(i)})
                 for i, each in enumerate(SCHEME.classes)]  # fmt: skip
        scheme = ClassScheme(classes=tuple(names))
        rows = [{**each, "name": HOSTILE + str(i)} for i, each in enumerate(REPORT["classes"])]
        accuracy = {**REPORT, "classes": rows, "warnings": [HOSTILE]}
        record = read_record(made / "run.json")
        assert record is not None
        record = replace(
            record, inputs=[{"path": HOSTILE, "bytes": 1, "sha256": HOSTILE}],
            options={**record.options, "aoi": HOSTILE}, counts={}, versions={HOSTILE: HOSTILE},
        )  # fmt: skip
        subject = replace(
            subject_of(made), title=HOSTILE, scheme=scheme, accuracy=accuracy, record=record,
            credits=HOSTILE, warnings=(HOSTILE,), files={"x.tif": HOSTILE},
        )  # fmt: skip
        found = parsed(render_page(subject))
        assert len(found.scripts) == len(parsed(render_page(subject_of(made))).scripts)
        assert not any("alert" in script and "geoseg" not in script for script in found.scripts[1:])
        assert not found.attributes("b")
        assert found.text.count("<script>alert('x')</script>") > 12
        data = json.loads(found.scripts[0])
        assert [each["name"] for each in data["classes"]] == [HOSTILE + "0", HOSTILE + "1"]

    def test_without_maplibre_there_are_still_pictures_and_tables(
        self, made: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(maplibre, "find_spec", lambda name: None)
        found = parsed(render_page(subject_of(made)))
        assert len(found.scripts) == 2
        assert "9,704" in words(found)
        assert picture_of(found.by_id("classes")["src"]).size == (128, 96)


def sha256(content: str) -> bytes:
    import hashlib

    return hashlib.sha256(content.encode()).digest()


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


class TestWhoseAccuracy:
    def shown(self, moved: Path) -> str:
        geoseg.publish(moved)
        return words(parsed((moved / "report.html").read_text(encoding="utf-8")))

    def test_one_of_another_map_is_left_out(self, moved: Path) -> None:
        other = {**REPORT, "scenes": [{"map": "demo/other/classes.tif"}]}
        (moved.parent / "report.json").write_text(json.dumps(other))
        assert "The accuracy of this map was not assessed" in self.shown(moved)

    def test_one_of_other_classes_is_left_out(self, moved: Path) -> None:
        other = {**REPORT, "classes": [{**REPORT["classes"][0], "name": "sand"}]}
        (moved.parent / "report.json").write_text(json.dumps(other))
        assert "The accuracy of this map was not assessed" in self.shown(moved)

    def test_one_that_is_older_than_the_map_is_left_out_aloud(self, moved: Path) -> None:
        os.utime(moved.parent / "report.json", (0, 0))
        text = self.shown(moved)
        assert "The accuracy of this map was not assessed" in text
        assert "report.json is older than the map and was left out." in text

    def test_one_that_is_named_has_to_fit(self, moved: Path) -> None:
        options = geoseg.PublishOptions(accuracy=moved / "run.json")
        with pytest.raises(InputError, match="is not an accuracy report"):
            geoseg.publish(moved, options=options)
