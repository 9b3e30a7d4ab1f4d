"""A server on the loopback that shows one map, and nothing else of this machine."""

from __future__ import annotations

import json
import logging
import mimetypes
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote, unquote, urlsplit

from geoseg.errors import OutputError, RasterError
from geoseg.job import view_run
from geoseg.maps.contents import CLASSES, RECORD, SCHEME, contents_of
from geoseg.maps.imagery import ARRANGED
from geoseg.report import Subject, page_of
from geoseg.report.map_tiles import TileFile
from geoseg.steps.publish import PublishOptions
from geoseg.steps.publish.page import TILES, subject_of
from geoseg.steps.view import ViewOptions
from geoseg.steps.view.live_run import Landing, scheme_of

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
STATE, PICTURE = "state.json", "classes.png"
TILE = re.compile(r"/tiles/(\d{1,2})/(\d{1,8})/(\d{1,8})\.png")
CHUNK = 1 << 20
HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Server:
    """A server that runs.

    Attributes:
        address: of the page.
    """

    address: str
    _thread: threading.Thread

    def wait(self) -> None:
        """Return when it has ended, or somebody interrupts."""
        while self._thread.is_alive():
            self._thread.join(0.5)


@dataclass
class Shown:
    """What is shown: a finished map, or a run.

    Attributes:
        folder: the map directory.
        options: what the user said.
    """

    folder: Path
    options: ViewOptions
    _landing: Landing | None = None
    _tiles: TileFile | None = None
    _page: tuple[object, bytes, dict[str, Path]] | None = None
    _turn: threading.Lock = field(default_factory=threading.Lock)

    def page(self) -> bytes:
        """The page; made again when the map has changed."""
        with self._turn:
            stamp = self._stamp()
            if self._page is None or self._page[0] != stamp:
                subject, routes = self._finished() if stamp else (self._unfinished(), {})
                self._page = stamp, page_of(subject).encode(), routes
            return self._page[1]

    def file(self, path: str) -> Path | None:
        """The file at an address of the page; None for everything that the page does not link."""
        page = self._page
        return page[2].get(path) if page else None

    def state(self) -> bytes:
        """How far the run is, as JSON."""
        with self._turn:
            if self._landing is None:
                return b'{"finished": true, "text": "This run is finished."}'
            return json.dumps(self._landing.state()).encode()

    def picture(self) -> bytes | None:
        """The parts of the run."""
        with self._turn:
            return self._landing.picture() if self._landing else None

    def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """A tile of a map that is too large for one picture."""
        with self._turn:
            return self._tiles.tile(zoom, column, row) if self._tiles else None

    def _stamp(self) -> object:
        """Tells maps apart; None where a run is still going, or has left parts and no map."""
        there = all((self.folder / name).is_file() for name in (CLASSES, SCHEME))
        run = view_run(self.folder)
        if not there or (run.work and run.held):
            return None
        record = self.folder / RECORD
        return record.stat().st_mtime_ns if record.is_file() else "no record"

    def _finished(self) -> tuple[Subject, dict[str, Path]]:
        self._landing, self._tiles, options = None, self._tiled(), self.options
        arranged = self.folder / ARRANGED
        said = PublishOptions(
            title=options.title,
            polygons=options.polygons,
            imagery=options.imagery or (arranged if arranged.is_file() else None),
            accuracy=options.accuracy,
        )
        subject = subject_of(contents_of(self.folder, said))
        paths = {name: self.folder / unquote(name) for name in subject.files}
        routes = {f"/{path.name}": path for path in paths.values()}
        linked = {quote(paths[name].name): what for name, what in subject.files.items()}
        zooms = self._tiles.zooms if self._tiles else None
        return replace(subject, files=linked, tiles=zooms), routes

    def _tiled(self) -> TileFile | None:
        """The tiles that publish has made of this very map."""
        path = self.folder / TILES
        made_of = (self.folder / CLASSES).stat().st_mtime_ns
        there = path.is_file() and path.stat().st_mtime_ns >= made_of
        return TileFile(path) if there else None

    def _unfinished(self) -> Subject:
        run = view_run(self.folder)
        if run.work is None and not run.held:
            raise RasterError(
                "is neither a map nor a run",
                where=self.folder,
                got=f"no {CLASSES} and no parts in it",
                fix="give the folder that geoseg predict writes",
            )
        scheme = scheme_of(self.folder, self.options.classes)
        self._landing = Landing(self.folder, scheme)
        title = self.options.title or self.folder.resolve().name
        return Subject(title=title, scheme=scheme, classes=None, live=STATE)


@contextmanager
def serve(land_map: Path, options: ViewOptions) -> Iterator[Server]:
    """Serve the page of a map until the block ends.

    Raises:
        RasterError: the path is neither a map nor a run.
        ConfigError: nothing says what the classes of a run are.
        OutputError: the port is taken.
    """
    shown = Shown(land_map.parent if land_map.name == CLASSES else land_map, options)
    shown.page()
    try:
        server = ThreadingHTTPServer((HOST, options.port), _handler(shown))
    except OSError as error:
        raise OutputError(
            "cannot be served from", where=f"port {options.port}", got=error.strerror,
            fix="name another --port, or none",
        ) from error  # fmt: skip
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield Server(f"http://{HOST}:{server.server_address[1]}/", thread)
    finally:
        server.shutdown()
        server.server_close()


def _handler(shown: Shown) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "geoseg", ""

        def do_HEAD(self) -> None:
            _answer(self, shown, body=False)

        def do_GET(self) -> None:
            _answer(self, shown, body=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            logger.debug(format, *args)

    return Handler


def _answer(request: BaseHTTPRequestHandler, shown: Shown, *, body: bool) -> None:
    """Answer who names this machine; a page of another site cannot, whatever its DNS says."""
    port = request.connection.getsockname()[1]
    if request.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
        return _send(request, b"", "text/plain", HTTPStatus.MISDIRECTED_REQUEST, body=body)
    path = unquote(urlsplit(request.path).path)
    if path in ("/", "/report.html"):
        return _send(request, shown.page(), "text/html; charset=utf-8", body=body)
    if path == f"/{STATE}":
        return _send(request, shown.state(), "application/json", body=body)
    tile = TILE.fullmatch(path)
    picture = shown.picture() if path == f"/{PICTURE}" else None
    if tile:
        picture = shown.tile(*map(int, tile.groups())) or b""  # a browser would report a 404
    if picture is not None:
        return _send(request, picture, "image/png", body=body)
    file = shown.file(path)
    if file is None or not file.is_file():
        return _send(request, b"", "text/plain", HTTPStatus.NOT_FOUND, body=body)
    return _send_file(request, file, body=body)


def _send(
    request: BaseHTTPRequestHandler,
    content: bytes,
    media: str,
    status: HTTPStatus = HTTPStatus.OK,
    *,
    body: bool,
) -> None:
    _head(request, status, {"Content-Type": media, "Content-Length": str(len(content))})
    if body:
        request.wfile.write(content)


def _send_file(request: BaseHTTPRequestHandler, path: Path, *, body: bool) -> None:
    """A file, or the part of it that was asked for (RFC 9110, section 14)."""
    with path.open("rb") as stream:
        size = path.stat().st_size
        span = _span(request.headers.get("Range", ""), size)
        media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if span is not None and span[0] >= size:
            spread = {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return _head(request, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, spread)
        first, last = span or (0, size - 1)
        headers = {
            "Content-Type": media,
            "Content-Length": str(last + 1 - first),
            "Accept-Ranges": "bytes",
        }
        if span is not None:
            headers["Content-Range"] = f"bytes {first}-{last}/{size}"
        _head(request, HTTPStatus.PARTIAL_CONTENT if span else HTTPStatus.OK, headers)
        if body:
            _copy(stream, request, first, last + 1 - first)
    return None


def _span(asked: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None for all, also where several are asked for."""
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", asked.strip())
    if found is None or found[0] == "bytes=-":
        return None
    first, last = found.groups()
    if not first:
        return (max(0, size - int(last)), size - 1) if int(last) else (size, size)
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last), size - 1) if last else size - 1


def _head(request: BaseHTTPRequestHandler, status: HTTPStatus, headers: dict[str, str]) -> None:
    request.send_response(status)
    for name, value in (headers | HEADERS).items():
        request.send_header(name, value)
    request.end_headers()


def _copy(stream: BinaryIO, request: BaseHTTPRequestHandler, first: int, count: int) -> None:
    stream.seek(first)
    while count > 0 and (data := stream.read(min(CHUNK, count))):
        request.wfile.write(data)
        count -= len(data)
