"""Searches of a STAC API on the loopback, composites of what they find, and a map of each."""

from __future__ import annotations

import runpy
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from dask.tokenize import tokenize
from networks import save_fcn, spec_for
from numpy.typing import NDArray
from pyproj import Transformer
from servers import StacServer, serve, serve_stac
from small_scene import MakeRaster

import geoseg
from geoseg.errors import ConfigError, RasterError, UnsafeError
from geoseg.files import sha256
from geoseg.remote import signing

pytestmark = pytest.mark.filterwarnings("ignore:The 'shapely.ops.transform")  # in odc-geo
BATCH = Path(__file__).parents[2] / "pipelines" / "batch.py"
B3 = ("blue", "green", "red")
HEIGHT, WIDTH = 60, 96
RASTER = {"nodata": 0, "data_type": "uint16", "scale": 0.0001, "offset": -0.1}
FIXED = geoseg.PredictOptions(engine="torch", precision="fp32", window=64)
"""Two jobs with the same bytes, and no trials of engines."""
OPENED = geoseg.CompositeOptions(remote=True)

type Array = NDArray[Any]


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("no_proxy", "127.0.0.1")


def pixels_of(seed: int) -> Array:
    """Three bands of 10 m; the first 5 columns have no data."""
    pixels = np.random.default_rng(seed).integers(500, 2000, (3, HEIGHT, WIDTH), dtype=np.uint16)
    pixels[:, :, :5] = 0
    return pixels


def write_scene(folder: Path, make: MakeRaster, name: str, zone: int, seed: int) -> dict[str, Any]:
    """A scene as earth-search has them: an asset per band, scl of 20 m with clouds, and its item.

    The lower 20 rows are cloudy in scenes of an odd seed.
    """
    grid = Affine(10, 0, 500_000, 0, -10, 5_400_000)
    profile: dict[str, Any] = {"driver": "COG", "blocksize": 128, "crs": f"EPSG:{32600 + zone}"}
    for band, layer in zip(B3, pixels_of(seed), strict=True):
        make(folder / f"{name}_{band}.tif", layer, nodata=0, transform=grid, **profile)
    scl = np.full((HEIGHT // 2, WIDTH // 2), 4, np.uint8)
    scl[20:] = 9 if seed % 2 else 4
    coarse = grid @ Affine.scale(2)
    make(folder / f"{name}_scl.tif", scl, nodata=0, transform=coarse, **profile)
    box = shapely.box(500_000, 5_400_000 - 10 * HEIGHT, 500_000 + 10 * WIDTH, 5_400_000)
    to_lonlat = Transformer.from_crs(32600 + zone, 4326, always_xy=True)
    frame = shapely.transform(box, to_lonlat.transform, interleaved=False)
    shapes = {band: ([HEIGHT, WIDTH], grid) for band in B3} | {"scl": (list(scl.shape), coarse)}
    return {
        "type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "sentinel-2-l2a",
        "stac_extensions": [
            "https://stac-extensions.github.io/projection/v1.1.0/schema.json",
            "https://stac-extensions.github.io/raster/v1.1.0/schema.json",
            "https://stac-extensions.github.io/eo/v1.1.0/schema.json",
        ],
        "geometry": shapely.geometry.mapping(frame), "bbox": list(frame.bounds), "links": [],
        "properties": {
            "datetime": f"2024-06-{seed + 1:02}T10:00:00Z", "proj:epsg": 32600 + zone,
            "eo:cloud_cover": 33.0 * (seed % 2), "grid:code": f"MGRS-{zone}UVQ",
            "earthsearch:boa_offset_applied": True,
        },
        "assets": {
            band: {
                "href": str(folder / f"{name}_{band}.tif"), "roles": ["data"],
                "type": "image/tiff; application=geotiff; profile=cloud-optimized",
                "proj:shape": shape, "proj:transform": list(transform)[:6],
                "eo:bands": [{"name": band, "common_name": band}] if band in B3 else [],
                "raster:bands": [RASTER if band in B3 else {"nodata": 0, "data_type": "uint8"}],
            }
            for band, (shape, transform) in shapes.items()
        },
    }  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scenes")


@pytest.fixture(scope="module")
def scenes(folder: Path, make_raster: MakeRaster) -> list[dict[str, Any]]:
    """Two dates of a tile in zone 33, the second with clouds below; one of a tile in zone 32."""
    places = (("S2A_33UVQ_20240601", 33), ("S2B_33UVQ_20240602", 33), ("S2A_32UVQ_20240603", 32))
    return [write_scene(folder, make_raster, *each, i) for i, each in enumerate(places)]


@pytest.fixture(scope="module")
def items(scenes: list[dict[str, Any]]) -> list[pystac.Item]:
    return [pystac.Item.from_dict(each) for each in scenes]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fcn(tmp_path_factory.mktemp("model"), spec_for(B3, gsd_m=10))


def at(url: str, scene: dict[str, Any]) -> pystac.Item:
    """The item of a scene whose files a server has."""
    item = pystac.Item.from_dict(scene)
    for asset in item.assets.values():
        asset.href = f"{url}/{Path(asset.href).name}"
    return item


def values(cube: Any) -> Array:
    return np.stack([cube[band].values for band in B3])


class TestComposite:
    def test_one_item_is_its_own_pixels_without_its_clouds(self, items: list[pystac.Item]) -> None:
        clear, cloudy = (geoseg.composite([each], B3) for each in items[:2])
        assert np.array_equal(values(clear), pixels_of(0))
        expected = pixels_of(1)
        expected[:, 40:] = 0
        assert np.array_equal(values(cloudy), expected)
        assert clear.odc.geobox.crs == "EPSG:32633"
        assert clear.red.dtype == np.uint16 and clear.red.attrs["nodata"] == 0
        assert clear.red.chunks is not None

    def test_the_clearest_comes_first_whatever_the_order(self, items: list[pystac.Item]) -> None:
        found = geoseg.composite([items[1], items[0]], B3)
        assert np.array_equal(values(found), pixels_of(0))

    def test_the_median_leaves_clouds_out(self, items: list[pystac.Item]) -> None:
        options = geoseg.CompositeOptions(take="median")
        found = values(geoseg.composite(items[:2], B3, options=options))
        expected = np.round((pixels_of(0).astype(float) + pixels_of(1)) / 2)
        assert np.array_equal(found[:, :40], expected[:, :40])
        assert np.array_equal(found[:, 40:], pixels_of(0)[:, 40:])

    def test_a_shift_moves_pixels_but_not_what_has_no_data(self, items: list[pystac.Item]) -> None:
        options = geoseg.CompositeOptions(shift=-1000, clouds="")
        found = values(geoseg.composite(items[:1], B3, options=options))
        pixels = pixels_of(0).astype(int)
        expected = np.where(pixels == 0, 0, np.maximum(pixels - 1000, 1))
        assert np.array_equal(found, expected)

    def test_addresses_of_the_planetary_computer_are_signed_on_the_way(
        self, scenes: list[dict[str, Any]], folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What is laid out does not hold the signature: an hour later it is the same."""
        monkeypatch.setattr(signing, "STORAGE", "127.0.0.1")
        with serve(folder) as server:
            server.signs = True
            monkeypatch.setenv(signing.SETTING, f"{server.url}/sign?href=")
            found = geoseg.composite([at(server.url, scenes[0])], B3, options=OPENED)
            assert np.array_equal(values(found), pixels_of(0))
            again = geoseg.composite([at(server.url, scenes[0])], B3, options=OPENED)
            assert tokenize(again) == tokenize(found)
            assert any("?sig=good" in each for each in server.requests)

    def test_an_offset_that_is_stated_and_not_added_is_said(
        self, scenes: list[dict[str, Any]], caplog: pytest.LogCaptureFixture
    ) -> None:
        item = pystac.Item.from_dict(scenes[0])
        geoseg.composite([item], B3)
        assert not caplog.records
        item.properties["earthsearch:boa_offset_applied"] = False
        geoseg.composite([item], B3)
        assert "state an offset of -1000, and 0 is added" in caplog.text

    def test_addresses_are_read_only_when_asked_for(
        self, folder: Path, scenes: list[dict[str, Any]]
    ) -> None:
        with serve(folder) as server:
            item = at(server.url, scenes[0])
            with pytest.raises(UnsafeError, match="reading from servers is off"):
                geoseg.composite([item], B3)
            assert not server.requests
            found = geoseg.composite([item], B3, options=OPENED)
            assert np.array_equal(values(found), pixels_of(0))

    def test_a_vrt_behind_a_harmless_name_is_refused(
        self, folder: Path, scenes: list[dict[str, Any]]
    ) -> None:
        (folder / "trap.tif").write_text('<VRTDataset rasterXSize="9" rasterYSize="9"/>')
        item = pystac.Item.from_dict(scenes[0])
        item.assets["red"].href = str(folder / "trap.tif")
        with pytest.raises(UnsafeError, match="refers to other files"):
            geoseg.composite([item], B3)

    def test_without_odc_stac_the_command_that_installs_it_is_named(
        self, items: list[pystac.Item], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "odc.stac", None)
        with pytest.raises(ConfigError, match=r"odc-stac.*pip install 'geoseg\[stac\]'"):
            geoseg.composite(items, B3)

    def test_a_band_that_is_not_there_is_named(self, items: list[pystac.Item]) -> None:
        with pytest.raises(RasterError, match=r"S2A_33UVQ_20240601: cannot be loaded.*nir"):
            geoseg.composite(items[:1], ["nir"])
        with pytest.raises(RasterError, match="no items"):
            geoseg.composite([], B3)


class TestBatch:
    BOX = (8.9, 48.6, 15.2, 48.9)

    @pytest.fixture(autouse=True)
    def fixed_engine(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(geoseg, "predict", partial(geoseg.predict, options=FIXED))

    def run(self, server: StacServer, model: Path, out: Path, **settings: Any) -> int:
        main = runpy.run_path(str(BATCH))["main"]
        wanted = {"bbox": self.BOX, "dates": "2024-06", "remote": True, "api": server.url}
        code: int = main(model, out, **(wanted | settings))
        return code

    @pytest.mark.slow
    def test_every_scene_of_every_page_gets_a_map_on_its_own_grid(
        self, scenes: list[dict[str, Any]], items: list[pystac.Item], model: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        monkeypatch.setattr("geoseg.steps.predict.choose_engine.SHORT_S", 3600.0)  # no trials
        with serve_stac(scenes, page=2) as server:
            assert self.run(server, model, tmp_path / "maps") == 0
            assert len(server.searches) == 2
            assert server.searches[0]["collections"] == ["sentinel-2-l2a"]
            assert "3 of 3 maps are in" in capsys.readouterr().out
            folders = sorted(path.name for path in (tmp_path / "maps").iterdir())
            assert folders == sorted(each["id"] for each in scenes)
            for each in scenes:
                with rasterio.open(tmp_path / "maps" / each["id"] / "classes.tif") as dataset:
                    assert dataset.crs.to_epsg() == each["properties"]["proj:epsg"]
                    assert dataset.shape == (HEIGHT, WIDTH)
                    assert (dataset.read(1)[:, :5] == 255).all()
            done = tmp_path / "maps" / scenes[0]["id"] / "classes.tif"
            before = (sha256(done), done.stat().st_mtime_ns)
            assert self.run(server, model, tmp_path / "maps") == 0
            assert (sha256(done), done.stat().st_mtime_ns) == before, "skipped"
        geoseg.predict(geoseg.composite(items[:1], B3), model, tmp_path / "alone")
        assert sha256(tmp_path / "alone" / "classes.tif") == before[0]

    def test_a_composite_gives_one_map_for_each_tile(
        self, scenes: list[dict[str, Any]], model: Path, tmp_path: Path
    ) -> None:
        with serve_stac(scenes) as server:
            assert self.run(server, model, tmp_path, composite="median", bbox=(14, 48, 16, 49)) == 0
        assert [path.name for path in tmp_path.iterdir()] == ["MGRS-33UVQ"]
        with rasterio.open(tmp_path / "MGRS-33UVQ" / "classes.tif") as dataset:
            assert (dataset.read(1)[:, 5:] != 255).all(), "clouds of one date are seen on the other"

    def test_what_fails_is_listed_and_the_rest_is_mapped(
        self, scenes: list[dict[str, Any]], model: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        broken = scenes[1] | {"id": "broken", "assets": {}}
        with serve_stac([broken, scenes[0]]) as server:
            assert self.run(server, model, tmp_path) == 3
        said = capsys.readouterr().out
        assert "1 of 2 maps are in" in said
        assert "failed: broken: broken: cannot be loaded" in said
        assert (tmp_path / scenes[0]["id"] / "classes.tif").is_file()

    def test_an_id_that_leaves_the_folder_is_a_failure(
        self, scenes: list[dict[str, Any]], model: Path, tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
    ) -> None:  # fmt: skip
        with serve_stac([scenes[0] | {"id": "../out"}]) as server:
            assert self.run(server, model, tmp_path / "maps") == 3
        assert "failed: ../out: is no name for a folder" in capsys.readouterr().out
        assert not list(tmp_path.iterdir())

    def test_without_remote_nothing_is_asked(
        self, scenes: list[dict[str, Any]], model: Path, tmp_path: Path
    ) -> None:
        with serve_stac(scenes) as server:
            with pytest.raises(SystemExit, match="--remote"):
                self.run(server, model, tmp_path, remote=False)
            assert not server.searches


def test_the_pipeline_is_short() -> None:
    assert len(BATCH.read_text("utf-8").splitlines()) <= 60
