"""Remote addresses that are refused, and secrets that stay secret."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from remote_scenes import REMOTE, isolate, source_at, write_served
from servers import RangeServer, serve
from small_scene import MakeRaster

from geoseg import grid
from geoseg.errors import GeosegError, RasterError, UnsafeError
from geoseg.options import ReadOptions
from geoseg.raster import open_scene
from geoseg.remote import Address, is_remote


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


class TestSafety:
    @pytest.fixture
    def listener(self) -> Iterator[tuple[str, list[object]]]:
        """An address and the connections it was asked for."""
        seen: list[object] = []
        with socket.create_server(("127.0.0.1", 0)) as server:
            server.settimeout(0.2)
            done = threading.Event()

            def accept() -> None:
                while not done.is_set():
                    try:
                        seen.append(server.accept()[0].close())
                    except TimeoutError:
                        continue

            thread = threading.Thread(target=accept)
            thread.start()
            yield f"127.0.0.1:{server.getsockname()[1]}", seen
            done.set()
            thread.join()

    def test_no_packet_is_sent_unless_asked_for(
        self, tmp_path: Path, listener: tuple[str, list[object]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        place, seen = listener
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{place}")
        (tmp_path / "list.txt").write_text(f"http://{place}/a.tif\n")
        (tmp_path / "scene.yaml").write_text(f"bands: {{red: 'http://{place}/a.tif'}}\n")
        for scene in (
            f"http://{place}/a.tif",
            f"HTTPS://{place}/a.tif",
            "s3://bucket/a.tif",
            str(tmp_path / "list.txt"),
            str(tmp_path / "scene.yaml"),
            Path(f"http://{place}/a.tif"),
        ):
            with pytest.raises(UnsafeError) as caught:
                open_scene(scene)
            assert caught.value.fix == "--remote, or download it first"
        assert seen == []

    @pytest.mark.parametrize("options", [ReadOptions(), REMOTE], ids=["local", "remote"])
    def test_other_ways_out_stay_closed(
        self, tmp_path: Path, listener: tuple[str, list[object]], options: ReadOptions
    ) -> None:
        place, seen = listener
        vrt = tmp_path / "a.tif"
        vrt.write_text(
            '<VRTDataset rasterXSize="8" rasterYSize="8"><VRTRasterBand dataType="Byte" band="1">'
            f"<SimpleSource><SourceFilename>/vsicurl/http://{place}/a.tif</SourceFilename>"
            "</SimpleSource></VRTRasterBand></VRTDataset>"
        )
        for scene in (
            str(vrt),
            f"/vsicurl/http://{place}/a.tif",
            "/vsis3/bucket/a.tif",
            f"ftp://{place}/a.tif",
            "file:///etc/passwd",
            f"zip+http://{place}/a.zip!a.tif",
            f'{{"type":"pipeline","url":"http://{place}"}}',
        ):
            with pytest.raises(UnsafeError):
                open_scene(scene, options)
        assert seen == []

    def test_a_vrt_on_a_server_is_refused(self, server: RangeServer) -> None:
        with pytest.raises(UnsafeError, match="a VRT must be a local file"):
            open_scene(f"{server.url}/a.vrt", REMOTE)

    def test_nothing_is_looked_for_beside_a_scene(self, server: RangeServer, folder: Path) -> None:
        (folder / "scene.tif.aux.xml").write_text("<PAMDataset><SRS>EPSG:4326</SRS></PAMDataset>")
        assert grid.crs_of(source_at(server).geobox).epsg == 32633
        assert {each.split()[1] for each in server.requests} == {"/scene.tif"}

    @pytest.mark.parametrize(
        ("url", "message"),
        [
            ("ftp://h/a.tif", "is not a readable address"),
            ("https://me:secret@h/a.tif", "holds a password"),
            ("https://h/", "names no file"),
            ("s3://bucket", "names no file"),
            ("https://h/a\nb.tif", "names no file"),
        ],
    )
    def test_addresses_that_are_none_are_refused(self, url: str, message: str) -> None:
        with pytest.raises(GeosegError, match=message) as caught:
            Address(url)
        assert "secret" not in str(caught.value)

    def test_odd_addresses_reach_the_server_as_they_should(self, server: RangeServer) -> None:
        for name, asked in (("a b.tif", "/a%20b.tif"), ("ü%20.tif#x", "/%C3%BC%20.tif")):
            with pytest.raises(RasterError, match="404"):
                _ = source_at(server, name).geobox
            assert server.requests[-1].split()[1] == asked
        assert is_remote("HTTPS://h/a.tif")
        assert Address("HTTPS://h/a.tif").gdal == "/vsicurl/https://h/a.tif"
