"""Servers that fail, stall or change a file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from remote_scenes import PIXELS, REMOTE, WINDOW, isolate, source_at, write_served
from servers import RangeServer, serve
from small_scene import MakeRaster

from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.raster import open_scene, open_scenes
from geoseg.remote import address, body, web


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


class TestTrouble:
    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("no.tif", "cannot be fetched; got 404 Not Found"),
            ("page.tif", "is not a raster geoseg reads; got HTML or XML"),
            ("empty.tif", "is empty"),
        ],
    )
    def test_what_is_no_raster_is_named_with_its_address(
        self, server: RangeServer, name: str, message: str
    ) -> None:
        url = f"{server.url}/{name}"
        with pytest.raises(RasterError) as caught:
            open_scene(f"{url}?token=secret", REMOTE)
        assert str(caught.value).startswith(f"{url}: {message}")
        assert "secret" not in str(caught.value)

    def test_all_scenes_that_fail_are_named(self, server: RangeServer) -> None:
        names = ("no.tif", "scene.tif", "page.tif")
        with pytest.raises(RasterError, match=r"2 scenes .*no\.tif.* \| .*page\.tif"):
            open_scenes([f"{server.url}/{name}" for name in names], REMOTE)

    def test_a_server_without_ranges_is_refused(self, server: RangeServer) -> None:
        server.ranged = False
        with pytest.raises(RasterError, match="sends whole files only"):
            _ = source_at(server).geobox
        assert len(server.requests) == 1

    def test_a_busy_server_is_asked_again(self, server: RangeServer) -> None:
        server.busy = 2
        assert source_at(server).geobox.shape == (768, 1280)
        source = source_at(server)
        server.busy = 2
        np.testing.assert_array_equal(source.read(WINDOW).pixels, PIXELS[:, 256:512, 512:768])

    @pytest.mark.slow
    @pytest.mark.parametrize("name", ["scene.tif", "plain.tif"])
    def test_bodies_cut_short_give_the_same_pixels_or_an_error(
        self, server: RangeServer, name: str
    ) -> None:
        """30 % of bodies end half way, by fixed dice: 20 readers, 4 windows each."""
        server.dropped = 0.3
        windows = [Window(row, col, 300, 600) for row in (0, 400) for col in (0, 600)]
        read, errors = 0, []
        for reader in range(20):
            try:
                source = source_at(server, f"{name}?{reader}")
                for window in windows:
                    pixels = source.read(window).pixels
                    np.testing.assert_array_equal(pixels, PIXELS[:, *window.slices])
                    read += 1
            except RasterError as error:
                errors.append(str(error))
        assert read >= 60, "most trials after a drop succeed"
        assert all(error.startswith(f"{server.url}/{name}: ") for error in errors)

    def test_an_error_names_address_and_window(self, server: RangeServer) -> None:
        source = source_at(server)
        _ = source.geobox
        server.dropped = 1.0
        message = rf"{server.url}/scene\.tif: rows 256-512, columns 512-768 cannot be decoded"
        with pytest.raises(RasterError, match=message):
            source.read(WINDOW)

    @pytest.mark.slow
    def test_a_server_that_stalls_ends_in_an_error(
        self, server: RangeServer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for module in (address, body, web):
            monkeypatch.setattr(module, "IDLE_S", 1)
        source = source_at(server)
        _ = source.geobox
        server.stalls = True
        with pytest.raises(RasterError, match="rows 256-512, columns 512-768 cannot be decoded"):
            source.read(WINDOW)
        with pytest.raises(RasterError, match="cannot be reached; got timed out"):
            _ = source_at(server).geobox

    def test_a_server_that_is_gone_ends_in_an_error(self, folder: Path) -> None:
        with serve(folder) as server:
            source = source_at(server)
            _ = source.geobox
        with pytest.raises(RasterError, match="cannot be decoded"):
            source.read(WINDOW)
        with pytest.raises(RasterError, match="cannot be reached; got .*refused"):
            _ = source_at(server).geobox
