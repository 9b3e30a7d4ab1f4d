"""The data catalog: what it lists, and everything `validate` finds without a network."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from catalogs import LABELS, collection, item, make_catalog

from geoseg.catalog import CatalogProblem, default_root, list_entries, show, validate
from geoseg.errors import CatalogError

SHIPPED = Path(__file__).parents[2] / "data_catalog"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_catalog(tmp_path)


@pytest.fixture
def problems(root: Path) -> Callable[[dict[str, Any]], list[CatalogProblem]]:
    def with_document(content: dict[str, Any]) -> list[CatalogProblem]:
        name = "north.json" if content["type"] == "Feature" else "collection.json"
        (root / "village" / name).write_text(json.dumps(content))
        return validate(root)

    return with_document


type Check = Callable[[dict[str, Any]], list[CatalogProblem]]


def codes(problems: list[CatalogProblem]) -> set[str]:
    return {each.code for each in problems}


def test_the_shipped_catalog_is_valid_and_lists_its_data_sets() -> None:
    assert validate(SHIPPED) == []
    entries = {each.id: each for each in list_entries(SHIPPED)}
    assert list(entries) == [
        "demo", "sentinel-2-l2a", "sentinel-1-grd", "naip", "esa-worldcover", "dynamic-world",
        "sen1floods11", "landcover-ai", "loveda", "openearthmap", "floodnet", "jrc-gsw",
    ]  # fmt: skip
    wavelengths = {each.name: each.center_wavelength for each in entries["sentinel-2-l2a"].bands}
    assert wavelengths["B8A"] == 0.865
    assert entries["floodnet"].gsd_m == () and "gsd" in entries["floodnet"].unknown
    assert entries["sentinel-2-l2a"].gsd_m == (10, 20, 60)
    assert [band.name for band in entries["demo"].bands] == ["blue", "green", "red", "nir"]
    assert len(entries["esa-worldcover"].classes) == 11
    assert all(each.fetch is not None for each in entries.values())
    assert all(path.stat().st_size < 10_000 for path in SHIPPED.rglob("*.json"))


def test_the_demo_entry_is_the_scene_that_the_demo_makes() -> None:
    from geoseg.synthetic.materials import class_file

    entry = show(SHIPPED, "demo")
    wanted = [(each["name"], each["color"]) for each in class_file()["classes"]]
    assert [(each.title, f"#{each.color_hint}") for each in entry.classes] == wanted
    assert (entry.license, entry.commercial_use, entry.gsd_m) == ("CC0-1.0", "yes", (2.5,))


def test_an_item_takes_from_its_collection_what_it_lacks(root: Path) -> None:
    assert validate(root) == []
    village, north = list_entries(root)
    assert (village.kind, north.kind) == ("collection", "item")
    assert (north.id, north.license, north.gsd_m) == ("north", "CC0-1.0", (0.5,))
    assert north.assets["labels"].path == root / "village" / "labels.gpkg"
    json.dumps(north.model_dump(mode="json"), allow_nan=False)


def test_an_unknown_name_is_answered_with_the_nearest_one(root: Path) -> None:
    with pytest.raises(CatalogError, match="did you mean 'village'"):
        show(root, "vilage")


def test_the_default_catalog_is_that_of_the_current_folder_then_the_shipped_one(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(root.parent)
    assert default_root() == root
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert default_root() == SHIPPED


def test_a_place_without_a_catalog_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match="is not a catalog"):
        validate(tmp_path)


def test_broken_json_names_file_line_and_column(root: Path) -> None:
    path = root / "village" / "collection.json"
    path.write_text('{\n  "type": "Collection",\n  "id" "village"}')
    (problem,) = validate(root)
    assert (problem.path, problem.code) == ("village/collection.json", "json")
    assert "line 3, column 8" in problem.message
    with pytest.raises(CatalogError, match=r"village/collection\.json.*line 3"):
        list_entries(root)


@pytest.mark.parametrize("text", ["[" * 200_000, "[]", '{"type": "Map"}', '{"a": NaN}', "\xe9"])
def test_what_is_no_stac_document_is_one_problem(root: Path, text: str) -> None:
    (root / "village" / "collection.json").write_bytes(text.encode("latin1"))
    assert [each.code for each in validate(root)] == ["json"]


def test_a_document_over_a_mebibyte_is_not_read(root: Path) -> None:
    (root / "village" / "collection.json").write_text(" " * (1 << 20) + "{}")
    assert "too large" in validate(root)[0].message


def test_all_problems_are_reported_at_once(problems: Check) -> None:
    content = collection(license="other", links=[])
    del content["geoseg:fetch"], content["summaries"]["gsd"]
    content["extent"]["temporal"]["interval"] = [["yesterday", None]]
    found = problems(content)
    assert {"license", "fetch", "gsd", "datetime", "schema"} <= codes(found)
    assert {each.path for each in found} == {"village/collection.json"}


def test_the_core_schema_is_checked_without_a_network(problems: Check) -> None:
    content = collection()
    del content["extent"]
    assert any("'extent' is a required property" in each.message for each in problems(content))
    assert codes(problems(collection(summaries={"gsd": {"minimum": 1, "maximum": 2}}))) == {"bands"}


def test_stac_1_0_is_read_and_other_versions_are_refused(problems: Check) -> None:
    assert problems(collection(stac_version="1.0.0")) == []
    assert codes(problems(collection(stac_version="0.9.0"))) == {"version"}


@pytest.mark.parametrize("name", ["../../ESCAPED", "a b", "..", "", "x" * 129, 7])
def test_an_id_has_to_be_a_safe_name(problems: Check, name: object) -> None:
    assert "id" in codes(problems(item(id=name)))


def test_an_id_stands_once(problems: Check) -> None:
    (problem,) = problems(item(id="village"))
    assert problem.code == "id"
    assert "village/collection.json" in problem.message


@pytest.mark.parametrize(
    "href",
    [
        "../../../../../etc/passwd",
        "/etc/passwd",
        "file:///etc/passwd",
        "/vsicurl/http://169.254.169.254/latest",
        "/vsicurl?header_file=/etc/hostname&url=http%3A%2F%2F127.0.0.1%3A9%2Fx.tif",
        "zip+http://127.0.0.1:9/a.zip!b.tif",
        "http://example.org/a.tif",
        "https://169.254.169.254/latest",
        "https://127.0.0.1:9/a.tif",
        "https://[::1]/a.tif",
        "https://localhost/a.tif",
        "C:\\labels.gpkg",
    ],
)
def test_assets_that_must_not_be_opened_are_unsafe(problems: Check, href: str) -> None:
    found = problems(item(assets={"data": {"href": href}}))
    assert codes(found) == {"unsafe"}
    assert found[0].path == "village/north.json"


def test_a_link_out_of_the_folder_is_not_followed(root: Path, problems: Check) -> None:
    (root.parent / "secret.json").write_text(json.dumps(item(id="secret")))
    found = problems(collection(links=[{"rel": "item", "href": "../../secret.json"}]))
    assert codes(found) == {"unsafe"}
    (root / "village" / "link.json").symlink_to(root.parent / "secret.json")
    assert codes(problems(collection(links=[{"rel": "item", "href": "link.json"}]))) == {"unsafe"}


def test_cycles_doubles_and_dead_links_are_found(problems: Check) -> None:
    back = {"rel": "child", "href": "../catalog.json"}
    north = {"rel": "item", "href": "./north.json"}
    gone = {"rel": "item", "href": "./gone.json"}
    for links, text in (
        ([back], "leads back"),
        ([north, north], "two links"),
        ([gone], "missing"),
        ([{"rel": "parent", "href": "./gone.json"}], "missing"),
        ([{"rel": "child", "href": "https://example.org/c.json"}], "not part of this catalog"),
    ):
        (problem,) = problems(collection(links=links))
        assert problem.code == "link"
        assert text in problem.message


@pytest.mark.parametrize("value", ["yesterday", "2024-05-31", "2024-05-31T10:00:00", 2024])
def test_a_date_that_does_not_parse_names_item_field_and_value(
    problems: Check, value: object
) -> None:
    found = [
        each for each in problems(item(properties={"datetime": value})) if each.code != "schema"
    ]
    assert [each.code for each in found] == ["datetime"]
    assert "datetime of 'north'" in found[0].message
    assert repr(value) in found[0].message


def test_time_runs_forward(problems: Check) -> None:
    properties = {
        "datetime": None,
        "start_datetime": "2024-06-01T00:00:00Z",
        "end_datetime": "2024-05-01T00:00:00Z",
    }
    assert codes(problems(item(properties=properties))) == {"datetime"}


@pytest.mark.parametrize("box", ["[1e999, 1, 2, 3]", "[13, 49, 14, 48]", "[13, 48, 14, 95]"])
def test_a_box_is_finite_and_in_degrees(root: Path, box: str) -> None:
    path = root / "village" / "north.json"
    path.write_text(json.dumps(item(bbox=[0, 0, 0, 0])).replace("[0, 0, 0, 0]", box))
    assert codes(validate(root)) == {"bbox"}


def test_files_are_those_of_their_checksums(root: Path, problems: Check) -> None:
    asset = {"href": "./labels.gpkg", "file:checksum": "1220" + "0" * 64}
    (problem,) = problems(item(assets={"labels": asset}))
    assert problem.code == "asset"
    assert hashlib.sha256(LABELS).hexdigest()[:12] in problem.message
    for wrong, text in (
        ({"href": "./gone.gpkg"}, "missing"),
        ({"href": "./labels.gpkg", "file:size": 5}, f"{len(LABELS)} bytes, not 5"),
        ({"href": "./labels.gpkg", "file:checksum": "md5"}, "not a sha2-256"),
    ):
        (problem,) = problems(item(assets={"labels": wrong}))
        assert text in problem.message


def test_the_class_of_commercial_use_is_stated(problems: Check) -> None:
    content = collection()
    del content["geoseg:commercial_use"]
    assert codes(problems(content)) == {"commercial-use"}


def test_every_value_of_a_remap_is_a_class(problems: Check) -> None:
    content = collection()
    content["summaries"]["classification:classes"] = [{"value": 1, "name": "house"}]
    assert problems(content | {"geoseg:remap": {"village": {"1": 1}}}) == []
    for remap, text in (
        ({"town": {"1": 1}}, "no entry 'town'"),
        ({"village": {"2": 1}}, "no class 2"),
        ({"village": {"1": 9}}, "no class 9"),
        ({"village": {}}, "no table"),
    ):
        (problem,) = problems(content | {"geoseg:remap": remap})
        assert (problem.code, text in problem.message) == ("remap", True)


def test_files_on_servers_have_a_checksum_or_it_is_not_known(problems: Check) -> None:
    assets = {"archive": {"href": "https://example.org/a.zip"}}
    (problem,) = problems(collection(assets=assets))
    assert problem.code == "checksum"
    assert problems(collection(assets=assets, **{"geoseg:unknown": ["checksum"]})) == []


def test_a_pixel_size_is_stated_or_said_to_be_unknown(problems: Check) -> None:
    content = collection(summaries={"bands": [{"name": "red"}]})
    assert codes(problems(content)) == {"gsd"}
    assert problems(content | {"geoseg:unknown": ["gsd"]}) == []


def test_an_entry_has_to_be_used_beside_docs_and_configs(root: Path) -> None:
    docs = root.parent / "docs"
    docs.mkdir()
    (docs / "data.md").write_text(
        "<!-- data sets -->\n| `village` |\n<!-- end -->\nvillages, my-village"
    )
    (problem,) = validate(root)
    assert (problem.code, problem.path) == ("unused", "village/collection.json")
    (docs / "data.md").write_text("Labels of a village.")
    assert validate(root) == []
