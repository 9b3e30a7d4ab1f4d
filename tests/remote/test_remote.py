"""Scenes at http and s3 addresses, read by ranges; servers on the loopback that misbehave."""

from __future__ import annotations

import os
import pickle
import socket
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from conftest import MakeRaster
from contracts import SourceContract
from rasterio.env import hasenv
from servers import RangeServer, serve

from geoseg import grid
from geoseg.errors import (
    ConfigError,
    GeosegError,
    OutputError,
    RasterError,
    RetryError,
    UnsafeError,
)
from geoseg.grid import Window
from geoseg.job import describe_inputs, open_run
from geoseg.options import ReadOptions
from geoseg.raster import FileSource, open_scene, open_scenes
from geoseg.remote import Address, address, body, is_remote, signing, upload, web

REMOTE = ReadOptions(remote=True)
WINDOW = Window(256, 512, 256, 256)
PIXELS = np.random.default_rng(3).integers(1, 4000, (3, 768, 1280), dtype=np.uint16)


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [each for each in os.environ if each.upper().startswith(("AWS_", "CPL_"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    monkeypatch.setattr(body, "PAUSE_S", 0.01)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """scene.tif, a COG of 3 x 768 x 1280 px in blocks of 256 px, compressed and as plain.tif."""
    folder = tmp_path_factory.mktemp("served")
    settings: dict[str, Any] = {"driver": "COG", "blocksize": 256, "overviews": "none"}
    make_raster(folder / "scene.tif", PIXELS, compress="deflate", **settings)
    make_raster(folder / "plain.tif", PIXELS, compress="none", **settings)
    (folder / "empty.tif").touch()
    (folder / "page.tif").write_text("<html>Please log in</html>")
    (folder / "a.vrt").write_text('<VRTDataset rasterXSize="8" rasterYSize="8"/>')
    return folder


@pytest.fixture
def server(folder: Path) -> Iterator[RangeServer]:
    with serve(folder) as server:
        yield server


def source_at(server: RangeServer, name: str = "scene.tif") -> FileSource:
    return FileSource(Address(f"{server.url}/{name}"))


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
        before, after = describe_inputs([*first.paths, *second.paths])
        assert before["sha256"] != after["sha256"]

    def test_an_input_is_described_by_name_size_and_version(
        self, server: RangeServer, folder: Path
    ) -> None:
        plain, signed, later = (
            Address(f"{server.url}/scene.tif{query}") for query in ("", "?token=a", "?token=b")
        )
        described = describe_inputs([plain, signed, later, folder / "scene.tif"])
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
        with open_run("tile", tmp_path / "out", inputs=paths, options={}, outputs=[]) as run:
            assert run.inputs == describe_inputs(paths)

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


S3_SCENE = "s3://maps/2024/scene.tif"


@pytest.fixture
def bucket(bucket: Any, folder: Path) -> Any:
    """It holds the scene."""
    bucket.upload_file(str(folder / "scene.tif"), "maps", "2024/scene.tif")
    return bucket


class TestS3:
    def test_a_scene_is_read(self, bucket: Any) -> None:
        source = open_scene(S3_SCENE, REMOTE)
        assert source.name == S3_SCENE
        np.testing.assert_array_equal(source.read(WINDOW).pixels, PIXELS[:, 256:512, 512:768])

    def test_the_environment_of_boto3_reaches_gdal(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Also under the other name, without credentials, and in a thread of its own."""
        url = os.environ["AWS_ENDPOINT_URL"]
        monkeypatch.delenv("AWS_ENDPOINT_URL")
        monkeypatch.setenv("AWS_ENDPOINT_URL_S3", url)
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        bucket.put_object_acl(Bucket="maps", Key="2024/scene.tif", ACL="public-read")
        source = FileSource(Address(S3_SCENE))
        with ThreadPoolExecutor(1) as threads:
            block = threads.submit(source.read, WINDOW).result()
        np.testing.assert_array_equal(block.pixels, PIXELS[:, 256:512, 512:768])

    def test_an_input_is_another_when_it_was_written_anew(self, bucket: Any, folder: Path) -> None:
        url = S3_SCENE
        before = describe_inputs([Address(url)])
        assert describe_inputs([Address(url)]) == before
        bucket.upload_file(str(folder / "plain.tif"), "maps", "2024/scene.tif")
        assert describe_inputs([Address(url)]) != before

    @pytest.mark.parametrize(
        ("name", "message"),
        [
            ("s3://maps/no.tif", r"s3://maps/no\.tif: does not exist; got NoSuchKey"),
            ("s3://none/a.tif", r"s3://none/a\.tif: does not exist; got NoSuchBucket"),
            ("s3://maps/empty.tif", "is empty"),
        ],
    )
    def test_what_is_missing_is_named(self, bucket: Any, name: str, message: str) -> None:
        bucket.put_object(Bucket="maps", Key="empty.tif", Body=b"")
        with pytest.raises(RasterError, match=message):
            open_scene(name, REMOTE)

    def test_without_credentials_it_says_which_to_set(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.delenv("AWS_ACCESS_KEY_ID")
        monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
        monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
        monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
        with pytest.raises(ConfigError, match="needs credentials.*AWS_NO_SIGN_REQUEST"):
            open_scene(S3_SCENE, REMOTE)

    def test_without_boto3_it_says_what_to_install(
        self, bucket: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("boto3", "botocore"):
            monkeypatch.setitem(sys.modules, name, None)
        monkeypatch.setenv("AWS_PROFILE", "nobody-looked-before")
        with pytest.raises(ConfigError, match=r"pip install 'geoseg\[s3\]'"):
            open_scene(S3_SCENE, REMOTE)


class TestUpload:
    @pytest.fixture
    def results(self, tmp_path: Path) -> list[Path]:
        (tmp_path / "classes.tif").write_bytes(bytes(9 << 20))
        (tmp_path / "run.json").write_text("{}")
        return [tmp_path / "classes.tif", tmp_path / "run.json"]

    def test_files_arrive_whole_and_in_order(self, bucket: Any, results: list[Path]) -> None:
        """9 MiB go in parts of 8 MiB."""
        written = upload(results, "s3://maps/2024/map/")
        assert written == ["s3://maps/2024/map/classes.tif", "s3://maps/2024/map/run.json"]
        for path, url in zip(results, written, strict=True):
            key = url.removeprefix("s3://maps/")
            found = bucket.get_object(Bucket="maps", Key=key)
            assert found["Body"].read() == path.read_bytes()

    def test_a_bucket_itself_is_a_place_too(self, bucket: Any, results: list[Path]) -> None:
        assert upload(results[1:], "s3://maps") == ["s3://maps/run.json"]

    def test_a_missing_bucket_is_named(self, bucket: Any, results: list[Path]) -> None:
        with pytest.raises(OutputError, match=r"s3://none/run\.json: does not exist"):
            upload(results[1:], "s3://none")

    @pytest.mark.parametrize("url", ["https://h/a", "/tmp/a", "s3://"])
    def test_other_places_are_refused(self, url: str) -> None:
        with pytest.raises(ConfigError, match="is not a place to write to"):
            upload([], url)

    @pytest.mark.slow
    def test_a_server_that_is_gone_asks_for_another_try(
        self, bucket: Any, results: list[Path], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
        with pytest.raises(RetryError, match=r"run\.json: cannot be written") as caught:
            upload(results[1:], "s3://maps")
        assert caught.value.exit_code == 3
