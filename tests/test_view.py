"""`geoseg view` over its own server: what is answered, to whom, and how a run is shown."""

from __future__ import annotations

import http.client
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from PIL import Image
from published import make_map, truth

import geoseg
from geoseg import files
from geoseg.errors import ConfigError, OutputError, RasterError
from geoseg.grid import Window, crop
from geoseg.job import Ledger
from geoseg.raster import FileSource
from geoseg.raster.cog import encode_part
from geoseg.steps.view import ViewOptions
from geoseg.steps.view.server import Server, serve

PARTS = (Window(0, 0, 48, 64), Window(0, 64, 48, 64), Window(48, 0, 48, 64))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A map; tests leave it as it is."""
    return make_map(tmp_path_factory.mktemp("made") / "area")


@pytest.fixture(scope="module")
def server(made: Path) -> Iterator[Server]:
    with serve(made, ViewOptions()) as running:
        yield running


def ask(
    server: Server, path: str, method: str = "GET", **headers: str
) -> tuple[int, dict[str, str], bytes]:
    place = urlsplit(server.address).netloc
    connection = http.client.HTTPConnection(place, timeout=30)
    connection.request(method, path, headers={"Host": place, **headers})
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, dict(answer.getheaders()), body


def land(folder: Path, made: Path, windows: tuple[Window, ...]) -> None:
    """Parts of a run as `predict` leaves them."""
    geobox = FileSource(made / "classes.tif").geobox
    work = folder / ".work-0123456789abcdef"
    ledger = Ledger(work)
    for window in windows:
        rows, cols = window.slices
        values = np.stack([truth()[rows, cols]] * 2)
        name = f"{window.row}-{window.col}-{window.height}x{window.width}.tif"
        digest = files.write_bytes(work / name, encode_part(values, crop(geobox, window)))
        ledger.add(name, digest, {"pixels": {}})


class TestAnswers:
    def test_the_page_is_that_of_publish(self, server: Server, made: Path) -> None:
        status, headers, body = ask(server, "/")
        assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert headers["X-Content-Type-Options"] == "nosniff"
        assert b"connect-src &#39;none&#39;" in body
        assert b'href="landcover.gpkg"' in body
        assert not (made / "report.html").exists(), "nothing is written"

    def test_files_come_whole_and_in_parts(self, server: Server, made: Path) -> None:
        wanted = (made / "classes.tif").read_bytes()
        size = len(wanted)
        assert ask(server, "/classes.tif")[2] == wanted
        for asked, status, first, stop in (
            ("bytes=0-9", 206, 0, 10), ("bytes=100-", 206, 100, size),
            ("bytes=-7", 206, size - 7, size), (f"bytes=5-{10 * size}", 206, 5, size),
            ("bytes=1-2,5-6", 200, 0, size), ("bytes=9-3", 200, 0, size),
            ("bits=1-2", 200, 0, size),
        ):  # fmt: skip
            found, headers, body = ask(server, "/classes.tif", Range=asked)
            assert (found, body) == (status, wanted[first:stop]), asked
            if status == 206:
                assert headers["Content-Range"] == f"bytes {first}-{stop - 1}/{size}"
        status, headers, body = ask(server, "/classes.tif", Range=f"bytes={size}-")
        assert (status, headers["Content-Range"], body) == (416, f"bytes */{size}", b"")

    def test_head_answers_without_a_body(self, server: Server, made: Path) -> None:
        status, headers, body = ask(server, "/classes.tif", "HEAD")
        assert (status, body) == (200, b"")
        assert headers["Content-Length"] == str((made / "classes.tif").stat().st_size)

    @pytest.mark.parametrize("path", [
        "/scene.tif", "/../scene.tif", "/model/spec.json", "/%2e%2e/scene.tif", "/classes.yaml",
        "//etc/passwd", "/.", "/map",
    ])  # fmt: skip
    def test_nothing_else_is_there(self, server: Server, path: str) -> None:
        assert ask(server, path)[0] == 404

    @pytest.mark.parametrize("host", ["evil.example", "127.0.0.1", "localhost:1", ""])
    def test_who_names_another_host_is_sent_away(self, server: Server, host: str) -> None:
        status, _, body = ask(server, "/", Host=host)
        assert (status, body) == (421, b"")

    def test_localhost_is_this_machine_too(self, server: Server) -> None:
        port = urlsplit(server.address).port
        assert ask(server, "/", "HEAD", Host=f"localhost:{port}")[0] == 200

    @pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS"])
    def test_nothing_can_be_sent(self, server: Server, method: str) -> None:
        assert ask(server, "/", method)[0] == 501


class TestRunsThatGoOn:
    @pytest.fixture
    def folder(self, made: Path, tmp_path: Path) -> Path:
        """A map folder in which a run has just begun."""
        shutil.copytree(made.parent / "model", tmp_path / "model")
        (tmp_path / "map").mkdir()
        (tmp_path / "map" / ".lock").touch()
        return tmp_path / "map"

    def test_parts_appear_as_they_land_and_then_the_map(self, folder: Path, made: Path) -> None:
        with serve(folder, ViewOptions()) as server:
            page = ask(server, "/")[2]
            assert b"connect-src &#39;self&#39;" in page
            assert "Wälder &amp; fields" in page.decode()
            state = json.loads(ask(server, "/state.json")[2])
            assert (state["parts"], state["corners"], state["finished"]) == (0, None, False)
            assert ask(server, "/classes.png")[0] == 404

            land(folder, made, PARTS[:2])
            state = json.loads(ask(server, "/state.json")[2])
            assert (state["parts"], state["finished"]) == (2, False)
            assert "2 parts of the map finished so far" in state["text"]
            assert self.shown(server).shape == (48, 128)

            land(folder, made, PARTS)
            assert json.loads(ask(server, "/state.json")[2])["parts"] == 3
            found = self.shown(server)
            wanted = np.where(truth() == 255, 2, truth())
            wanted[48:, 64:] = 2
            assert (found == wanted).mean() > 0.99

            for name in ("classes.tif", "confidence.tif", "classes.yaml", "run.json"):
                shutil.copy(made / name, folder)
            shutil.rmtree(folder / ".work-0123456789abcdef")
            assert json.loads(ask(server, "/state.json")[2])["finished"] is True
            page = ask(server, "/")[2]
            assert b"connect-src &#39;none&#39;" in page
            assert b"9,704" in page

    def shown(self, server: Server) -> np.ndarray:  # type: ignore[type-arg]
        status, headers, body = ask(server, "/classes.png?parts=2")
        assert (status, headers["Content-Type"]) == (200, "image/png")
        return np.asarray(Image.open(io.BytesIO(body)))

    def test_a_torn_line_of_the_ledger_is_no_part(self, folder: Path, made: Path) -> None:
        land(folder, made, PARTS[:1])
        with (folder / ".work-0123456789abcdef" / "ledger.jsonl").open("ab") as stream:
            stream.write(b'\n0badf00d {"name": "48-64-48x64.tif"')
        with serve(folder, ViewOptions()) as server:
            assert json.loads(ask(server, "/state.json")[2])["parts"] == 1

    def test_a_run_that_stopped_says_so(self, folder: Path, made: Path) -> None:
        land(folder, made, PARTS[:1])
        os.utime(folder / ".lock", (0, 0))
        with serve(folder, ViewOptions(classes=made / "classes.yaml")) as server:
            text = json.loads(ask(server, "/state.json")[2])["text"]
        assert text.startswith("This run has stopped: 1 part of the map finished so far.")

    def test_a_finished_map_is_shown_though_parts_were_left(
        self, made: Path, tmp_path: Path
    ) -> None:
        moved = shutil.copytree(made.parent, tmp_path / "area") / "map"
        land(moved, made, PARTS[:1])
        with serve(moved, ViewOptions()) as server:
            assert b"9,704" in ask(server, "/")[2]

    def test_nothing_in_the_folder_is_changed(self, folder: Path, made: Path) -> None:
        land(folder, made, PARTS[:1])
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        with serve(folder, ViewOptions()) as server:
            ask(server, "/")
            ask(server, "/state.json")
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before

    def test_without_a_model_beside_it_the_classes_have_to_be_named(self, folder: Path) -> None:
        shutil.rmtree(folder.parent / "model")
        with pytest.raises(ConfigError, match="the classes of this unfinished run are unknown"):
            geoseg.view(folder)


class TestRefusals:
    def test_a_folder_that_is_neither(self, tmp_path: Path) -> None:
        with pytest.raises(RasterError, match="neither a map nor a run"):
            geoseg.view(tmp_path)

    def test_a_port_that_is_taken(self, server: Server, made: Path) -> None:
        port = urlsplit(server.address).port
        assert port is not None
        with pytest.raises(OutputError, match=f"port {port}"):
            geoseg.view(made, options=ViewOptions(port=port))


@pytest.mark.slow
@pytest.mark.alone
def test_the_command_prints_the_address_and_ends_when_it_is_interrupted(made: Path) -> None:
    command = [sys.executable, "-m", "geoseg", "view", str(made), "--no-open"]
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # what the child begins with
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    signal.signal(signal.SIGINT, before)
    assert process.stdout is not None
    address = process.stdout.readline().strip()
    assert ask(Server(address, None), "/", "HEAD")[0] == 200  # type: ignore[arg-type]
    time.sleep(0.2)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (0, "")
