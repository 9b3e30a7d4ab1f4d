"""Scenes at http addresses, read by ranges."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import rasterio
from contracts import SourceContract
from rasterio.env import hasenv
from remote_scenes import PIXELS, WINDOW, isolate, source_at, write_served
from servers import RangeServer, serve
from small_scene import MakeRaster

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.job import describe_inputs, open_run
from geoseg.options import ReadOptions
from geoseg.raster import FileSource, open_scene
from geoseg.remote import Address, signing


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    isolate(monkeypatch)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    return write_served(tmp_path_factory.mktemp("served"), make_raster)


@pytest.fixture
def server(folder: Path) -> Iterator[RangeServer]:
    with serve(folder) as server:
        yield server


class TestHttpSource(SourceContract):
    @pytest.fixture
    def source(self, server: RangeServer) -> FileSource:
        return source_at(server)


class TestHttp:
    def test_a_window_costs_its_blocks_and_not_the_file(
        self, server: RangeServer, folder: Path
    ) -> None:
        size = (folder / "scene.tif").stat().st_size
        block = source_at(server).read(WINDOW)
        np.testing.assert_array_equal(block.pixels, PIXELS[:, 256:512, 512:768])
        assert block.valid.all()
        assert size > 4_000_000
        assert server.sent < size / 10, "one of 15 blocks, and the header"
        assert len(server.requests) <= 5

    def test_the_same_window_again_costs_nothing(self, server: RangeServer) -> None:
        source = source_at(server)
        source.read(WINDOW)
        before = len(server.requests)
        source.read(WINDOW)
        assert len(server.requests) == before

    def test_a_scene_is_opened_at_its_address_when_that_is_asked_for(
        self, server: RangeServer
    ) -> None:
        url = f"{server.url}/scene.tif"
        options = ReadOptions(remote=True, bands=["3"])
        source = open_scene(url, options)
        assert source.name == url
        assert source.paths == (Address(url),)
        np.testing.assert_array_equal(source.read(WINDOW).pixels, PIXELS[2:, 256:512, 512:768])

    def test_a_signature_is_asked_for_on_the_way(
        self, server: RangeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Once for the first bytes and once by GDAL; nothing that is written down holds it."""
        monkeypatch.setattr(signing, "STORAGE", "127.0.0.1")
        monkeypatch.setenv(signing.SETTING, f"{server.url}/sign?href=")
        server.signs = True
        source = source_at(server)
        block = source.read(WINDOW)
        np.testing.assert_array_equal(block.pixels, PIXELS[:, 256:512, 512:768])
        asked = [each for each in server.requests if each.startswith("GET /sign?")]
        assert len(asked) == 2
        (path,) = source.paths
        assert isinstance(path, Address)
        assert "sig=" not in f"{path} {path.gdal} {path.stamp()}"

    def test_what_the_signer_does_not_know_is_read_as_it_is(
        self, server: RangeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(signing, "STORAGE", "127.0.0.1")
        monkeypatch.setenv(signing.SETTING, f"{server.url}/nothing?href=")
        block = source_at(server).read(WINDOW)
        np.testing.assert_array_equal(block.pixels, PIXELS[:, 256:512, 512:768])

    def test_threads_and_copies_read_the_same(self, server: RangeServer) -> None:
        source = pickle.loads(pickle.dumps(source_at(server)))
        windows = list(grid.split(grid.whole((768, 1280)), 200))
        with ThreadPoolExecutor(8) as threads:
            for window, block in zip(windows, threads.map(source.read, windows), strict=True):
                np.testing.assert_array_equal(block.pixels, PIXELS[:, *window.slices])

    def test_a_new_version_is_read_anew_and_is_another_input(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        with serve(tmp_path) as server:
            make_raster(tmp_path / "a.tif", np.full((1, 32, 48), 1, np.uint8))
            first = source_at(server, "a.tif")
            assert (first.read(Window(0, 0, 32, 48)).pixels == 1).all()
            server.etag = '"2"'
            make_raster(tmp_path / "a.tif", np.full((1, 32, 48), 2, np.uint8))
            second = source_at(server, "a.tif")
            assert (second.read(Window(0, 0, 32, 48)).pixels == 2).all()
        before, after = describe_inputs({"scene": [*first.paths, *second.paths]})
        assert before["sha256"] != after["sha256"]

    def test_an_input_is_described_by_name_size_and_version(
        self, server: RangeServer, folder: Path
    ) -> None:
        plain, signed, later = (
            Address(f"{server.url}/scene.tif{query}") for query in ("", "?token=a", "?token=b")
        )
        described = describe_inputs({"scene": [plain, signed, later, folder / "scene.tif"]})
        assert described[0] == described[1] == described[2]
        assert described[0]["path"] == f"{server.url}/scene.tif"
        assert described[0]["bytes"] == described[3]["bytes"]
        assert described[0]["sha256"] != described[3]["sha256"]

    def test_without_a_version_the_query_counts(self, server: RangeServer) -> None:
        server.etag = None
        first, second = (Address(f"{server.url}/scene.tif?id={i}") for i in (1, 2))
        assert first.stamp() != second.stamp()

    def test_a_run_takes_an_address_as_input(self, server: RangeServer, tmp_path: Path) -> None:
        paths = source_at(server).paths
        with open_run(
            "tile", tmp_path / "out", inputs={"scene": paths}, options={}, outputs=[]
        ) as run:
            assert run.inputs == describe_inputs({"scene": paths})

    def test_redirects_are_followed_to_http_only(self, server: RangeServer) -> None:
        aim = f"{server.url}/scene.tif"
        np.testing.assert_array_equal(
            source_at(server, f"to/{aim}").read(WINDOW).pixels, PIXELS[:, 256:512, 512:768]
        )
        for aim in ("file:///etc/passwd", "ftp://127.0.0.1:9/a.tif"):
            with pytest.raises(RasterError, match="cannot be (reached|fetched)"):
                _ = Address(f"{server.url}/to/{aim}").size

    def test_gdal_is_left_as_it_was(self, server: RangeServer) -> None:
        before = hasenv()
        source_at(server).read(WINDOW)
        assert hasenv() == before
        assert rasterio.env.get_gdal_config("GDAL_HTTP_LOW_SPEED_TIME") is None
        assert rasterio.env.get_gdal_config("GDAL_DISABLE_READDIR_ON_OPEN") is None
