"""Local files as entries of a catalog."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from small_scene import MakeRaster, SmallScene, write_labels

from geoseg.catalog import fetch, list_entries, show, validate
from geoseg.cli import _main
from geoseg.errors import ConfigError, OutputError, RasterError
from geoseg.files import sha256
from geoseg.steps.catalog import AddOptions, add_entry
from geoseg.steps.catalog import write_entry as write_module

DATED = AddOptions(date="2024-05-01/2024-05-31", title="A village")


@pytest.fixture
def data(tmp_path: Path, scene: SmallScene) -> Path:
    """scene.tif: 96 x 128 px of 0.5 m in EPSG:32633; labels.gpkg; classes.yaml."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "scene.tif").write_bytes(scene.path.read_bytes())
    box = shapely.box(500_000, 4_999_952, 500_056, 5_000_000)
    write_labels(folder / "labels.gpkg", [("field", box)], "EPSG:4326")
    (folder / "classes.yaml").write_text(
        "column: kind\nclasses: [{name: open land, color: '#f2efe9', values: [field]}]"
    )
    return folder


def added(data: Path, *names: str, **options: Any) -> dict[str, Any]:
    """The only item of a new entry."""
    paths = [data / name for name in names]
    chosen = DATED.model_copy(update=options)
    documents = add_entry(paths, "village", "CC0-1.0", root=data, options=chosen)
    content: dict[str, Any] = json.loads(documents[0].read_text("utf-8"))
    return content


def test_a_raster_is_described_by_what_is_in_it(data: Path) -> None:
    item = added(data, "scene.tif")
    assert validate(data) == []
    properties, asset = item["properties"], item["assets"]["data"]
    assert (item["id"], item["collection"]) == ("village-scene", "village")
    assert (properties["gsd"], properties["proj:code"]) == (
        pytest.approx(0.5, abs=1e-3),
        "EPSG:32633",
    )
    assert properties["proj:shape"] == [96, 128]
    assert properties["proj:transform"] == [0.5, 0, 500_000, 0, -0.5, 5_000_000]
    assert properties["start_datetime"] == "2024-05-01T00:00:00Z"
    assert properties["end_datetime"] == "2024-05-31T23:59:59Z"
    assert (asset["href"], asset["data_type"], asset["nodata"]) == ("../scene.tif", "uint16", 0)
    assert asset["file:checksum"] == "1220" + sha256(data / "scene.tif")
    assert asset["file:size"] == (data / "scene.tif").stat().st_size
    assert len(asset["bands"]) == 3
    west, south, east, north = item["bbox"]
    assert west == pytest.approx(15, abs=1e-6), "500 000 is the central meridian of zone 33"
    assert (east - west) * 111_320 * np.cos(np.radians(north)) == pytest.approx(64, rel=0.01)
    assert (north - south) * 111_150 == pytest.approx(48, rel=0.01)


def test_labels_come_with_their_classes(data: Path) -> None:
    added(data, "scene.tif", "labels.gpkg", classes=data / "classes.yaml")
    assert validate(data) == []
    entry = show(data, "village")
    assert (entry.title, entry.license, entry.commercial_use) == (
        "A village",
        "CC0-1.0",
        "see source",
    )
    assert [(each.value, each.title) for each in entry.classes] == [(0, "open land")]
    kinds = {each.id: list(each.assets) for each in list_entries(data) if each.kind == "item"}
    assert kinds == {"village-scene": ["data"], "village-labels": ["labels"]}


def test_a_new_entry_is_added_to_those_that_are_there(data: Path) -> None:
    added(data, "scene.tif")
    add_entry([data / "labels.gpkg"], "town", "CC0-1.0", root=data / "catalog.json",
              options=DATED.model_copy(update={"classes": data / "classes.yaml"}))  # fmt: skip
    assert validate(data) == []
    assert [each.id for each in list_entries(data)] == [
        "village", "village-scene", "town", "town-labels",
    ]  # fmt: skip


def test_an_entry_is_not_overwritten(data: Path) -> None:
    added(data, "scene.tif")
    before = {path: path.read_bytes() for path in data.rglob("*.json")}
    with pytest.raises(OutputError, match="has an entry of that id already; got village"):
        added(data, "labels.gpkg", classes=data / "classes.yaml")
    (data / "town").mkdir()
    (data / "town" / "collection.json").write_text("mine")
    with pytest.raises(OutputError, match="exists already"):
        add_entry([data / "scene.tif"], "town", "CC0-1.0", root=data, options=DATED)
    assert (data / "town" / "collection.json").read_text() == "mine"
    assert {path: path.read_bytes() for path in before} == before


def test_a_failure_leaves_nothing(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_json = write_module.files.write_json

    def fails(path: Path, content: Any) -> None:
        if path.name == "catalog.json":
            raise OSError(28, "No space left on device")
        write_json(path, content)

    monkeypatch.setattr(write_module.files, "write_json", fails)
    with pytest.raises(OSError, match="No space left"):
        added(data, "scene.tif")
    assert not list(data.rglob("*.json"))


def test_files_elsewhere_are_copied_when_asked_for(data: Path, tmp_path: Path) -> None:
    catalog = tmp_path / "data_catalog"
    with pytest.raises(ConfigError, match=r"lies outside.*--copy-in"):
        add_entry([data / "scene.tif"], "village", "CC0-1.0", root=catalog, options=DATED)
    assert not catalog.exists()
    options = DATED.model_copy(update={"copy_in": True})
    add_entry([data / "scene.tif"], "village", "CC0-1.0", root=catalog, options=options)
    assert validate(catalog) == []
    assert sha256(catalog / "village" / "scene.tif") == sha256(data / "scene.tif")
    (copy,) = fetch(catalog, "village", tmp_path / "fetched")
    assert sha256(copy) == sha256(data / "scene.tif")


def test_a_crs_without_a_code_is_written_out(data: Path, make_raster: MakeRaster) -> None:
    crs = "+proj=laea +lat_0=10 +lon_0=20 +ellps=GRS80"
    grid = Affine(30, 0, 0, 0, -30, 0)
    make_raster(data / "odd.tif", np.ones((20, 30), np.uint8), crs=crs, transform=grid)
    properties = added(data, "odd.tif")["properties"]
    assert properties["proj:code"] is None
    assert properties["proj:projjson"]["type"] == "ProjectedCRS"
    assert validate(data) == []


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"name": "../out"}, "is not a valid id"),
        ({"licence": "my own"}, "is not a licence id"),
        ({"licence": "other"}, "--license-url"),
        ({"date": "yesterday"}, "is not a date"),
        ({"date": "2024-06-01/2024-05-01"}, "is not a date"),
        ({"date": None}, "has no acquisition date"),
    ],
)
def test_what_is_not_known_is_asked_for(data: Path, changes: dict[str, Any], text: str) -> None:
    options = DATED.model_copy(update={"date": changes.get("date", DATED.date)})
    name, licence = changes.get("name", "village"), changes.get("licence", "CC0-1.0")
    with pytest.raises(ConfigError, match=text):
        add_entry([data / "scene.tif"], name, licence, root=data, options=options)
    assert not list(data.rglob("*.json"))


def test_labels_alone_need_classes_and_files_have_to_be_there(data: Path) -> None:
    with pytest.raises(ConfigError, match=r"need their classes.*--classes"):
        added(data, "labels.gpkg")
    with pytest.raises((RasterError, ConfigError), match=r"gone\.tif"):
        added(data, "gone.tif")


def test_the_command_prints_what_it_wrote(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["catalog", "add", str(data / "scene.tif"), "--name", "village", "--license", "CC0-1.0"]
    assert _main([*words, "--root", str(data), "--date", "2024-05-31"]) == 0
    printed = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert printed == ["village-scene.json", "collection.json", "catalog.json"]
    assert _main([*words, "--root", str(data), "--date", "2024-05-31"]) == 2
    assert "has an entry of that id already" in capsys.readouterr().err
    assert _main(["catalog", "validate", "--root", str(data)]) == 0
    assert capsys.readouterr().out == "2 entries are valid\n"
