"""Scenes by the many: lists, STAC items and collections, patterns, and what is wrong with them."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
from affine import Affine
from servers import serve
from small_scene import NORTH_UP, MakeRaster

from geoseg.errors import ConfigError, GeosegError, RasterError, UnsafeError
from geoseg.grid import Window
from geoseg.options import ReadOptions
from geoseg.raster import FileSource, StackSource, expand, open_scene, open_scenes

COG = "image/tiff; application=geotiff; profile=cloud-optimized"
WHOLE = Window(0, 0, 32, 48)
type Assets = dict[str, dict[str, Any]]


@pytest.fixture
def folder(tmp_path: Path, make_raster: MakeRaster) -> Path:
    """red.tif is 1, nir.tif is 2, coarse.tif is 3 in pixels twice as large, rgb.tif is 4, 5, 6."""
    for value, name in enumerate(("red", "nir"), 1):
        make_raster(tmp_path / f"{name}.tif", np.full((1, 32, 48), value, np.uint16))
    coarse = np.full((1, 16, 24), 3, np.uint16)
    make_raster(tmp_path / "coarse.tif", coarse, transform=NORTH_UP @ Affine.scale(2))
    rgb = np.repeat(np.uint16([4, 5, 6]), 32 * 48).reshape(3, 32, 48)
    make_raster(tmp_path / "rgb.tif", rgb)
    return tmp_path


def item(assets: Assets, name: str = "S2A_T33") -> dict[str, Any]:
    """A STAC item as pystac writes it."""
    made = pystac.Item(name, None, None, datetime(2024, 6, 1, tzinfo=UTC), {})
    for key, asset in assets.items():
        made.add_asset(key, pystac.Asset.from_dict(asset))
    return made.to_dict(include_self_link=False)


def data(name: str, **more: Any) -> dict[str, Any]:
    return {"href": name, "type": COG, "roles": ["data"], **more}


SENTINEL: Assets = {
    "B04": data("red.tif", **{"eo:bands": [{"name": "B04", "common_name": "red"}]}),
    "B08": data("./nir.tif", bands=[{"name": "B08", "eo:common_name": "nir"}]),
    "B11": data("coarse.tif"),
    "visual": {"href": "rgb.tif", "type": COG, "roles": ["visual"]},
    "thumbnail": {"href": "none.png", "type": "image/png", "roles": ["thumbnail"]},
    "meta": {"href": "none.xml", "type": "application/xml", "roles": ["metadata"]},
}
type Write = Callable[..., Path]


@pytest.fixture
def write(folder: Path) -> Write:
    """A function (content, name) that writes a JSON file beside the rasters."""

    def _write(content: object, name: str = "item.json") -> Path:
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
        return folder / name

    return _write


def values(path: Path, *bands: str) -> list[int]:
    """The value of each band of a scene."""
    block = open_scene(path, ReadOptions(bands=bands)).read(WHOLE)
    assert block.valid.all()
    return [int(np.unique(band).item()) for band in block.pixels]


class TestLists:
    def test_lines_are_scenes_beside_the_list(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (folder / "sub").mkdir()
        (folder / "sub" / "list.txt").write_text(
            f"\ufeff# two of 2024\n../red.tif\n\n  {folder / 'nir.tif'}\r\n../[cr]*.tif\n"
        )
        monkeypatch.chdir("/")
        sources = open_scenes(str(folder / "sub" / "list.txt"))
        assert [Path(source.name).stem for source in sources] == [
            "red", "nir", "coarse", "red", "rgb",
        ]  # fmt: skip

    def test_a_list_stands_among_other_scenes(self, folder: Path, write: Write) -> None:
        (folder / "list.txt").write_text("red.tif\nitem.json\n")
        path = write(item(SENTINEL))
        scenes = [folder / "nir.tif", folder / "list.txt", path]
        names = [Path(source.name).stem for source in open_scenes(scenes)]
        assert names == ["nir", "red", "S2A_T33", "S2A_T33"]

    def test_addresses_are_read_where_that_is_allowed(self, folder: Path) -> None:
        with serve(folder) as server:
            (folder / "list.txt").write_text(f"red.tif\n{server.url}/nir.tif?token=%2A*\n")
            with pytest.raises(UnsafeError, match="only local files are read.*--remote"):
                open_scenes(folder / "list.txt")
            assert server.requests == []
            sources = open_scenes(folder / "list.txt", ReadOptions(remote=True))
            assert [source.read(WHOLE).pixels.max() for source in sources] == [1, 2]

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ("# nothing\n\n", "names no scene"),
            ("list.txt\n", "a list cannot name another list"),
            ("none/*.tif\n", "the pattern matches no file"),
            ("none.tif\n", "none.tif: cannot be opened"),
            ("/vsicurl/http://127.0.0.1:9/a.tif\n", "only local files are read"),
            ("ftp://127.0.0.1:9/a.tif\n", "only local files are read"),
        ],
    )
    def test_what_is_wrong_with_a_list_is_said(
        self, folder: Path, content: str, message: str
    ) -> None:
        (folder / "list.txt").write_text(content)
        with pytest.raises(GeosegError, match=message):
            open_scenes(folder / "list.txt")

    def test_one_scene_is_not_several(self, folder: Path) -> None:
        (folder / "list.txt").write_text("red.tif\nnir.tif\n")
        with pytest.raises(RasterError, match="stands for several scenes; got 2"):
            open_scene(folder / "list.txt")
        (folder / "list.txt").write_text("red.tif\n")
        assert values(folder / "list.txt") == [1]


class TestItems:
    def test_an_item_is_a_scene_of_its_data(self, write: Write) -> None:
        source = open_scene(write(item(SENTINEL)))
        assert isinstance(source, StackSource)
        assert source.name == "S2A_T33"
        assert [band.name for band in source.bands] == ["B04", "B08", "B11"]
        assert tuple(source.geobox.shape) == (32, 48), "the finest grid"
        assert values(write(item(SENTINEL))) == [1, 2, 3]

    def test_bands_are_asked_for_by_asset_or_common_name_or_number(self, write: Write) -> None:
        path = write(item(SENTINEL))
        assert values(path, "B11", "B04") == [3, 1]
        assert values(path, "nir", "red") == [2, 1]
        assert values(path, "3", "1") == [3, 1]
        source = open_scene(path, ReadOptions(bands=["nir", "B04"]))
        assert [band.name for band in source.bands] == ["nir", "B04"]
        assert len(source.paths) == 2, "the others are not opened"

    def test_one_asset_is_a_file(self, write: Write) -> None:
        path = write(item({"image": data("rgb.tif"), "thumbnail": SENTINEL["thumbnail"]}, "a.b"))
        source = open_scene(path)
        assert isinstance(source, FileSource)
        assert source.name == "a.b"
        assert values(path) == [4, 5, 6]
        assert values(path, "3", "1") == [6, 4]
        one = open_scene(write(item(SENTINEL)), ReadOptions(bands="red"))
        assert (one.name, one.bands[0].name) == ("S2A_T33", "red")

    def test_without_roles_the_media_type_says_what_is_data(self, write: Write) -> None:
        assets: Assets = {
            "a": {"href": "red.tif", "type": "image/vnd.stac.geotiff"},
            "b": {"href": "nir.tif"},
            "c": {"href": "item.json", "type": "application/json"},
            "d": {"href": "none.tif", "type": COG, "roles": ["overview"]},
        }
        assert values(write(item(assets))) == [1, 2]

    def test_a_collection_is_a_scene_for_each_item(self, write: Write) -> None:
        items = [item({"image": data(f"{name}.tif")}, name) for name in ("red", "nir", "rgb")]
        path = write({"type": "FeatureCollection", "features": items})
        sources = open_scenes(path)
        assert [source.name for source in sources] == ["red", "nir", "rgb"]
        assert [source.read(WHOLE).pixels.max() for source in sources] == [1, 2, 6]
        assert [open_scene(scene).name for scene in expand(str(path))] == ["red", "nir", "rgb"]

    def test_an_item_is_a_value(self, write: Write) -> None:
        [scene] = expand(write(item(SENTINEL)))
        source = pickle.loads(pickle.dumps(open_scene(pickle.loads(pickle.dumps(scene)))))
        assert source.read(WHOLE).pixels.shape == (3, 32, 48)

    def test_remote_assets_are_read_where_that_is_allowed(self, folder: Path, write: Write) -> None:
        with serve(folder) as server:
            remote = {key: data(f"{server.url}/{key}.tif") for key in ("red", "nir")}
            path = write(item(remote))
            with pytest.raises(UnsafeError, match="only local files are read.*--remote"):
                open_scene(path)
            assert server.requests == [], "nothing is asked for while an item is parsed"
            source = open_scene(path, ReadOptions(remote=True))
            assert [band.max() for band in source.read(WHOLE).pixels] == [1, 2]
            assert [path.name for path in source.paths] == [
                f"{server.url}/red.tif", f"{server.url}/nir.tif",
            ]  # fmt: skip

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ([1, 2], "holds no STAC items"),
            ({"type": "Collection", "id": "a"}, "holds no STAC items; got Collection"),
            ({"type": "FeatureCollection", "features": []}, "holds no STAC items"),
            ({"type": "Feature", "id": "a"}, "holds no valid STAC item; got assets: Field"),
            ({"type": "FeatureCollection", "features": [3]}, "holds no valid STAC item"),
            (item({}), "no raster asset that holds data; got no raster assets"),
            (item({"t": SENTINEL["thumbnail"]}), "no raster asset that holds data"),
            (item({"a": data("none.tif")}), r"none\.tif: cannot be opened"),
            (item({"a": data("rgb.tif"), "b": data("red.tif")}), r"rgb\.tif: .*file of one band"),
        ],
    )
    def test_what_is_wrong_with_an_item_is_said(
        self, write: Write, content: object, message: str
    ) -> None:
        with pytest.raises(RasterError, match=message):
            open_scenes(write(content))

    @pytest.mark.parametrize(
        "href",
        [
            "/vsicurl/http://127.0.0.1:9/a.tif",
            "/vsicurl?header_file=/etc/hostname&url=http%3A%2F%2F127.0.0.1%3A9%2Fx.tif",
            "file:///etc/passwd",
            "ftp://127.0.0.1:9/a.tif",
            "zip+http://127.0.0.1:9/a.zip!b.tif",
            "gs://bucket/a.tif",
        ],
    )
    @pytest.mark.parametrize("remote", [True, False])
    def test_other_ways_out_stay_closed(self, write: Write, href: str, remote: bool) -> None:
        with pytest.raises(UnsafeError, match="only local files are read"):
            open_scene(write(item({"a": data(href)})), ReadOptions(remote=remote))

    @pytest.mark.parametrize("name", ["../../x", "a/b", "..", "", "a b", "ü", "x" * 129])
    def test_an_id_that_is_no_folder_name_is_refused(self, write: Write, name: str) -> None:
        content = item(SENTINEL) | {"id": name}
        with pytest.raises(UnsafeError, match="the id of an item cannot be the name of a folder"):
            open_scene(write(content))

    def test_a_band_that_no_asset_has_is_named(self, write: Write) -> None:
        with pytest.raises(
            ConfigError, match="has no raster asset swir; got B04, B08, B11, visual"
        ):
            values(write(item(SENTINEL)), "red", "swir")
        with pytest.raises(ConfigError, match="has no band 'swir'"):
            values(write(item(SENTINEL)), "swir")

    def test_a_name_that_two_assets_have_is_refused(self, write: Write) -> None:
        twice = dict.fromkeys(("cog", "jp2"), SENTINEL["B04"])
        with pytest.raises(ConfigError, match="red is cog and jp2"):
            values(write(item(twice)), "red")

    def test_broken_files_are_named(self, folder: Path) -> None:
        (folder / "a.json").write_bytes(b'{"type": \xff')
        (folder / "b.json").write_text("[" * 100_000)
        with pytest.raises(
            RasterError, match=r"3 scenes .*a\.json: is not UTF-8.*b\.json: is not J"
        ):
            open_scenes([folder / "a.json", folder / "b.json", folder / "c.json"])

    def test_all_that_is_wrong_is_said_at_once(self, folder: Path, write: Write) -> None:
        (folder / "list.txt").write_text("none.tif\nred.tif\n")
        items = [item(SENTINEL, name) for name in ("good", "x" * 200)]
        path = write({"type": "FeatureCollection", "features": items})
        with pytest.raises(RasterError) as caught:
            open_scenes([folder / "list.txt", path, folder / "*.jp2"])
        told = str(caught.value)
        assert told.startswith("3 scenes cannot be used: ")
        assert "none.tif" in told
        assert "xxx" in told
        assert "*.jp2: the pattern matches no file" in told
