"""report.html without a browser: its content, its accuracy, and nothing from elsewhere."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from published import SCHEME
from report_pages import REPORT, Page, parsed, picture_of, publish_evaluated, subject_of, words

import geoseg
from geoseg.classes import ClassScheme
from geoseg.errors import InputError
from geoseg.job import read_record
from geoseg.report import maplibre, render_page

HOSTILE = "</script><script>alert('x')</script> & \"<b>\u2028"


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


@pytest.fixture
def moved(made: Path, tmp_path: Path) -> Path:
    return shutil.copytree(made.parent, tmp_path / "area") / "map"


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
            record, inputs=[{"role": HOSTILE, "path": HOSTILE, "bytes": 1, "sha256": HOSTILE}],
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
