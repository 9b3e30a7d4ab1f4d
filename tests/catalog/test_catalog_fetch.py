"""Files of data sets onto this machine: whole, checked, resumed; and their classes."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from catalogs import LABELS, collection, item, make_catalog
from servers import RangeServer, serve
from small_scene import TINY, MakeRaster

import geoseg
from geoseg.catalog import FetchOptions, fetch, scheme_of, show, tree, validate
from geoseg.catalog.download import transfer
from geoseg.cli import _main
from geoseg.errors import CatalogError, ConfigError, OutputError, RetryError
from geoseg.remote import Address, body

SHIPPED = Path(__file__).parents[2] / "data_catalog"
DATA = bytes(range(256)) * 20_000
"""5 MB: several pieces."""
SHA, MD5 = f"1220{hashlib.sha256(DATA).hexdigest()}", f"d50110{hashlib.md5(DATA).hexdigest()}"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return make_catalog(tmp_path)


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(body, "PAUSE_S", 0.01)


@pytest.fixture
def loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a catalog name files of this machine's own server."""
    monkeypatch.setattr(tree, "REMOTE", ("https", "http", "s3"))
    monkeypatch.setattr(tree, "_check_host", lambda *_: None)


@pytest.fixture
def served(tmp_path: Path) -> Path:
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "village.zip").write_bytes(DATA)
    return folder


def with_archive(root: Path, server: RangeServer, **asset: Any) -> Path:
    """The village with an archive on the server."""
    href = {"href": f"{server.url}/village.zip?download=1"}
    content = collection(assets={"archive": href | asset}, links=[])
    (root / "village" / "collection.json").write_text(json.dumps(content))
    return root


class TestTransfer:
    def test_a_part_is_continued_where_it_ended(self, served: Path, tmp_path: Path) -> None:
        part = tmp_path / ".village.zip.part"
        with serve(served) as server:
            address = Address(f"{server.url}/village.zip")
            part.write_bytes(DATA[:3_000_000])
            part.with_name(part.name + ".version").write_text('"1"')
            transfer(address, part, most=10**7)
            assert part.read_bytes() == DATA
            assert server.requests == ["GET /village.zip bytes=2999999-"]
            assert server.sent == len(DATA) - 2_999_999
            transfer(address, part, most=10**7)
            assert server.sent == len(DATA) - 2_999_999 + 1, "of a whole part, one byte"
            assert part.read_bytes() == DATA

    def test_what_is_missing_comes_from_a_bucket_too(self, bucket: Any, tmp_path: Path) -> None:
        version = bucket.put_object(Bucket="maps", Key="village.zip", Body=DATA)["ETag"]
        part = tmp_path / "part"
        part.write_bytes(b"x" * 3_000_000)
        part.with_name("part.version").write_text(version)
        address = Address("s3://maps/village.zip")
        transfer(address, part, most=10**7)
        assert part.read_bytes() == b"x" * 2_999_999 + DATA[2_999_999:], "what was there stays"
        transfer(address, part, most=10**7)
        assert part.stat().st_size == len(DATA)
        part.with_name("part.version").write_text("another")
        transfer(address, part, most=10**7)
        assert part.read_bytes() == DATA, "a whole part of another version is fetched anew"

    def test_a_part_of_another_version_is_fetched_anew(self, served: Path, tmp_path: Path) -> None:
        part = tmp_path / "part"
        part.write_bytes(b"x" * 1000)
        part.with_name("part.version").write_text('"0"')
        with serve(served) as server:
            transfer(Address(f"{server.url}/village.zip"), part, most=10**7)
        assert part.read_bytes() == DATA

    def test_bodies_that_break_off_are_put_together(self, served: Path, tmp_path: Path) -> None:
        with serve(served) as server:
            server.dropped = 0.8
            transfer(Address(f"{server.url}/village.zip"), tmp_path / "part", most=10**7)
            assert len(server.requests) > 2
        assert (tmp_path / "part").read_bytes() == DATA

    def test_a_server_without_parts_sends_all_again(self, served: Path, tmp_path: Path) -> None:
        part = tmp_path / "part"
        part.write_bytes(DATA[:1000])
        part.with_name("part.version").write_text('"1"')
        with serve(served) as server:
            server.ranged = False
            transfer(Address(f"{server.url}/village.zip"), part, most=10**7)
        assert part.read_bytes() == DATA

    def test_what_is_too_large_is_not_taken(self, served: Path, tmp_path: Path) -> None:
        with serve(served) as server:
            with pytest.raises(ConfigError, match=r"got 0\.00512 GB; wanted at most 0\.001 GB"):
                transfer(Address(f"{server.url}/village.zip"), tmp_path / "part", most=10**6)
            assert not (tmp_path / "part").exists()

    def test_a_server_that_is_gone_is_worth_another_try(self, tmp_path: Path) -> None:
        with pytest.raises(RetryError, match="it resumes"):
            transfer(Address("http://127.0.0.1:9/a.zip"), tmp_path / "part", most=10**6)


@pytest.mark.usefixtures("loopback")
class TestFetch:
    @pytest.mark.parametrize("checksum", [SHA, MD5])
    def test_an_archive_comes_whole_and_only_once(
        self, checksum: str, root: Path, served: Path, tmp_path: Path
    ) -> None:
        with serve(served) as server:
            with_archive(root, server, **{"file:checksum": checksum, "file:size": len(DATA)})
            assert validate(root) == []
            found = fetch(root, "village", tmp_path / "data")
            assert found == [tmp_path / "data" / "village" / "village.zip"]
            assert found[0].read_bytes() == DATA
            asked = len(server.requests)
            assert fetch(root, "village", tmp_path / "data") == found
            assert len(server.requests) == asked
        assert [path.name for path in found[0].parent.iterdir()] == ["village.zip"]

    def test_a_file_that_is_another_one_does_not_appear(
        self, root: Path, served: Path, tmp_path: Path
    ) -> None:
        with serve(served) as server:
            with_archive(root, server, **{"file:checksum": "1220" + "0" * 64})
            with pytest.raises(CatalogError, match=r"is not the file in the catalog: it has the"):
                fetch(root, "village", tmp_path / "data")
        assert not list((tmp_path / "data" / "village").iterdir())

    def test_another_file_in_the_way_is_kept(
        self, root: Path, served: Path, tmp_path: Path
    ) -> None:
        with serve(served) as server:
            with_archive(root, server, **{"file:checksum": SHA})
            stands = tmp_path / "village" / "village.zip"
            stands.parent.mkdir()
            stands.write_bytes(b"mine")
            with pytest.raises(OutputError, match="exists already and has the sha256"):
                fetch(root, "village", tmp_path)
            assert stands.read_bytes() == b"mine"

    def test_a_large_file_is_refused_unless_asked_for(
        self, root: Path, served: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        with serve(served) as server:
            with_archive(root, server, **{"file:checksum": SHA})
            words = ["catalog", "fetch", "village", "--to", str(tmp_path), "--root", str(root)]
            assert _main([*words, "--max-gb", "0.001"]) == 2
            assert "--max-gb" in capsys.readouterr().err
            assert _main(words) == 0
            assert capsys.readouterr().out.strip() == str(tmp_path / "village" / "village.zip")


def test_local_files_are_copied_with_the_classes(root: Path, tmp_path: Path) -> None:
    rows = [
        {"value": 0, "name": "none", "nodata": True},
        {"value": 3, "name": "house", "title": "house", "color_hint": "ff0000"},
        {"value": 7, "name": "field"},
    ]
    content = collection()
    content["summaries"]["classification:classes"] = rows
    (root / "village" / "collection.json").write_text(json.dumps(content))
    labels, classes = fetch(root, "village", tmp_path / "data")
    assert labels == tmp_path / "data" / "village" / "north" / "labels.gpkg"
    assert labels.read_bytes() == LABELS
    assert classes.read_text("utf-8") == (
        "classes:\n- name: house\n  color: '#ff0000'\n  values:\n  - 3\n"
        "- name: field\n  color: '#d95f02'\n  values:\n  - 7\nignore:\n- 0\n"
    )
    with pytest.raises(ConfigError, match=r"no file images; wanted labels"):
        fetch(root, "village", tmp_path, options=FetchOptions(assets=("images",)))


def test_a_changed_local_file_is_not_copied(root: Path, tmp_path: Path) -> None:
    (root / "village" / "labels.gpkg").write_bytes(b"torn")
    with pytest.raises(CatalogError, match="is not the file in the catalog"):
        fetch(root, "north", tmp_path / "data")
    assert not list((tmp_path / "data" / "north").iterdir())


@pytest.mark.parametrize(
    ("name", "how"),
    [("demo", "geoseg demo DIR"), ("dynamic-world", "Earth Engine"), ("naip", "collection naip")],
)
def test_what_cannot_be_fetched_says_how_to_get_it(name: str, how: str, tmp_path: Path) -> None:
    with pytest.raises(CatalogError, match=how):
        fetch(SHIPPED, name, tmp_path)
    assert not list(tmp_path.iterdir())


def test_the_classes_of_one_data_set_become_those_of_another() -> None:
    cover, world = show(SHIPPED, "landcover-ai"), show(SHIPPED, "dynamic-world")
    scheme = scheme_of(cover, world)
    assert [(each.name, each.color, each.values) for each in scheme.classes] == [
        ("water", "#419bdf", (3,)),
        ("trees", "#397d49", (2,)),
        ("built", "#c4281b", (1, 4)),
    ]
    assert scheme.look_up([0, 1, 2, 3, 4]).ids.tolist() == [255, 2, 1, 0, 2]
    with pytest.raises(CatalogError, match="has no remap to the classes of naip"):
        scheme_of(cover, show(SHIPPED, "naip").model_copy(update={"classes": world.classes}))
    with pytest.raises(CatalogError, match="naip: has no classes"):
        scheme_of(show(SHIPPED, "naip"))


def test_a_class_file_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    words = ["catalog", "show", "esa-worldcover", "--root", str(SHIPPED)]
    assert _main([*words, "--classes"]) == 0
    assert "name: Mangroves\n  color: '#00cf75'\n  values:\n  - 95" in capsys.readouterr().out
    assert _main([*words, "--like", "dynamic-world"]) == 0
    assert "name: flooded vegetation" in capsys.readouterr().out


def test_items_keep_their_own_folder(root: Path, tmp_path: Path) -> None:
    south = item(id="south", assets={"labels": {"href": "./labels.gpkg"}})
    (root / "village" / "south.json").write_text(json.dumps(south))
    links = [{"rel": "item", "href": f"./{name}.json"} for name in ("north", "south")]
    (root / "village" / "collection.json").write_text(json.dumps(collection(links=links)))
    found = fetch(root, "village", tmp_path / "data")
    assert [path.parent.name for path in found] == ["north", "south"]


def test_the_class_file_of_a_data_set_reads_its_label_rasters(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    """WorldCover's trees, water and mangroves, and 0, which is no data there."""
    image = np.random.default_rng(2).integers(1, 2000, (2, 64, 96), dtype=np.uint16)
    codes = np.repeat(np.array([10, 80, 95, 0], np.uint8), 24)[None].repeat(64, axis=0)
    scene = make_raster(tmp_path / "scene.tif", image)
    labels = make_raster(tmp_path / "labels.tif", codes, nodata=0)
    scheme = scheme_of(show(SHIPPED, "esa-worldcover"), show(SHIPPED, "dynamic-world"))
    chips = geoseg.tile(scene, labels, tmp_path / "chips", classes=scheme, options=TINY)
    found = np.bincount(np.load(chips / "labels.npy").ravel(), minlength=256)
    names = [*scheme.names, *[""] * (255 - len(scheme.names)), "ignored"]
    assert {names[i]: int(n) for i, n in enumerate(found) if n} == {
        "water": 24 * 64, "trees": 24 * 64, "flooded vegetation": 24 * 64, "ignored": 24 * 64,
    }  # fmt: skip
