"""A server on the loopback interface that serves one map, and no other file of the machine."""

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
from geoseg.layout import ARRANGED_IMAGERY, CLASS_FILE, CLASSES, RECORD, REPORT_PAGE, TILES
from geoseg.maps.contents import Description, contents_of
from geoseg.report import PageContent, render_page
from geoseg.report.finished_map import page_content
from geoseg.report.map_tiles import TileFile
from geoseg.steps.view.live_run import PICTURE, LiveRun, scheme_of_run
from geoseg.steps.view.options import ViewOptions

logger = logging.getLogger(__name__)
HOST = "127.0.0.1"
STATE = "state.json"
TILE_URL = re.compile(r"/tiles/(\d{1,2})/(\d{1,8})/(\d{1,8})\.png")
CHUNK_BYTES = 1 << 20
HEADERS = {  # no page of another site may frame the map, load it, or learn its address
    "Cache-Control": "no-store",
    "Content-Security-Policy": "frame-ancestors 'none'",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True)
class Server:
    """A running server.

    Attributes:
        address: URL of the page.
    """

    address: str
    _thread: threading.Thread

    def wait(self) -> None:
        """Wait until the server ends or the user interrupts."""
        while self._thread.is_alive():
            self._thread.join(0.5)  # without a timeout, Windows does not deliver Ctrl-C


@dataclass
class ServedMap:
    """A finished map or a live run, as the server's resources.

    Requests come in threads of their own, so that only one at a time makes a page or reads tiles.

    Attributes:
        folder: the map directory.
        options: options of the page.
    """

    folder: Path
    options: ViewOptions
    _live: LiveRun | None = None
    _tiles: TileFile | None = None
    _page: tuple[object, bytes, dict[str, Path]] | None = None
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self) -> bytes:
        """The page; rendered again when the map has changed.

        Raises:
            RasterError: the map cannot be read.
        """
        with self._lock:
            stamp = self._stamp()
            if self._page is None or self._page[0] != stamp:
                content, routes = self._finished() if stamp else (self._unfinished(), {})
                self._page = stamp, render_page(content).encode(), routes
            return self._page[1]

    def file(self, path: str) -> Path | None:
        """The file at a path; None for every path that the page does not link."""
        page = self._page
        return page[2].get(path) if page else None

    def state(self) -> bytes:
        """Progress of the run, as JSON."""
        with self._lock:
            if self._live is None:
                return b'{"finished": true, "text": "This run is finished."}'
            return json.dumps(self._live.state()).encode()

    def picture(self) -> bytes | None:
        """The finished parts of the run, as a PNG; None without any."""
        with self._lock:
            return self._live.picture() if self._live else None

    def tile(self, zoom: int, column: int, row: int) -> bytes | None:
        """A tile of a map too large for one picture, as a PNG; None where nothing is mapped."""
        with self._lock:
            return self._tiles.tile(zoom, column, row) if self._tiles else None

    def _stamp(self) -> object:
        """A value that changes with the finished map; None for a live run or an unfinished one."""
        complete = all((self.folder / name).is_file() for name in (CLASSES, CLASS_FILE))
        run = view_run(self.folder)
        if not complete or (run.work and run.held):
            return None
        record = self.folder / RECORD
        return record.stat().st_mtime_ns if record.is_file() else "no record"

    def _finished(self) -> tuple[PageContent, dict[str, Path]]:
        """Content of the page, and the files it links by path on this server.

        Files lie beside and above the map, but are all served from the root.
        """
        self._live, self._tiles, options = None, self._open_tiles(), self.options
        vrt = self.folder / ARRANGED_IMAGERY
        contents = contents_of(
            self.folder,
            Description(title=options.title),
            polygons=options.polygons,
            imagery=options.imagery or (vrt if vrt.is_file() else None),
        )
        content = page_content(contents, options.accuracy)
        paths = {link: self.folder / unquote(link) for link in content.files}
        routes = {f"/{path.name}": path for path in paths.values()}
        links = {quote(paths[link].name): text for link, text in content.files.items()}
        zooms = self._tiles.zooms if self._tiles else None
        return replace(content, files=links, tiles=zooms), routes

    def _open_tiles(self) -> TileFile | None:
        """The tiles that publish made of this map; None without any, and for older ones."""
        path = self.folder / TILES
        mapped_at = (self.folder / CLASSES).stat().st_mtime_ns
        current = path.is_file() and path.stat().st_mtime_ns >= mapped_at
        return TileFile(path) if current else None

    def _unfinished(self) -> PageContent:
        run = view_run(self.folder)
        if run.work is None and not run.held:
            raise RasterError(
                "is neither a map nor a run",
                where=self.folder,
                got=f"no {CLASSES} and no parts in it",
                fix="give the folder that geoseg predict writes",
            )
        scheme = scheme_of_run(self.folder, self.options.classes)
        self._live = LiveRun(self.folder, scheme)
        title = self.options.title or self.folder.resolve().name
        return PageContent(title=title, scheme=scheme, classes=None, live=STATE)


@contextmanager
def serve(land_map: Path, options: ViewOptions) -> Iterator[Server]:
    """Serve the page of a map until the block ends.

    Args:
        land_map: the map directory, or the classes.tif in it.
        options: options of the page, and the port.

    Raises:
        RasterError: the path is neither a map nor a run.
        ConfigError: the classes of a run are unknown.
        InputError: polygons or accuracy report do not belong to the map.
        OutputError: the port is taken.
    """
    served = ServedMap(land_map.parent if land_map.name == CLASSES else land_map, options)
    served.page()  # what is wrong with the map is raised here, not in a thread of the server
    try:
        server = ThreadingHTTPServer((HOST, options.port), _handler(served))
    except OSError as error:
        raise OutputError(
            "the page cannot be served", where=f"port {options.port}", got=error.strerror,
            fix="choose another --port, or leave it out",
        ) from error  # fmt: skip
    server.daemon_threads = True  # a browser that keeps its connection does not keep the process
    thread = threading.Thread(target=server.serve_forever, args=(0.1,), daemon=True)
    thread.start()
    try:
        yield Server(f"http://{HOST}:{server.server_address[1]}/", thread)
    finally:
        server.shutdown()
        server.server_close()


def _handler(served: ServedMap) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        server_version, sys_version = "geoseg", ""

        def do_HEAD(self) -> None:
            _answer(self, served, body=False)

        def do_GET(self) -> None:
            _answer(self, served, body=True)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            logger.debug(format, *args)

    return Handler


def _answer(request: BaseHTTPRequestHandler, served: ServedMap, *, body: bool) -> None:
    """Answer requests that name this machine as the host.

    A page of another site can make its own host name resolve to 127.0.0.1 (DNS rebinding), but the
    browser still sends that name.
    """
    port = request.connection.getsockname()[1]
    if request.headers.get("Host") not in (f"{HOST}:{port}", f"localhost:{port}"):
        return _send(request, b"", "text/plain", HTTPStatus.MISDIRECTED_REQUEST, body=body)
    path = unquote(urlsplit(request.path).path)
    if path in ("/", f"/{REPORT_PAGE}"):
        return _send(request, served.page(), "text/html; charset=utf-8", body=body)
    if path == f"/{STATE}":
        return _send(request, served.state(), "application/json", body=body)
    tile = TILE_URL.fullmatch(path)
    picture = served.picture() if path == f"/{PICTURE}" else None
    if tile:
        picture = served.tile(*map(int, tile.groups())) or b""  # a browser would report a 404
    if picture is not None:
        return _send(request, picture, "image/png", body=body)
    file = served.file(path)
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
    """Send a file, or the requested range of it (RFC 9110, section 14).

    Ranges let GIS programs read single blocks of a Cloud Optimized GeoTIFF.
    """
    with path.open("rb") as stream:
        size = path.stat().st_size
        span = _byte_range(request.headers.get("Range", ""), size)
        media = mimetypes.guess_type(path.name)[0] or "application/octet-stream"
        if span is not None and span[0] >= size:
            unsatisfiable = {"Content-Range": f"bytes */{size}", "Content-Length": "0"}
            return _head(request, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, unsatisfiable)
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


def _byte_range(requested: str, size: int) -> tuple[int, int] | None:
    """First and last byte of a single range; None for the whole file.

    A server may answer several ranges with the whole file (RFC 9110, section 14.2).
    """
    found = re.fullmatch(r"bytes=(\d{0,18})-(\d{0,18})", requested.strip())
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
    while count > 0 and (data := stream.read(min(CHUNK_BYTES, count))):
        request.wfile.write(data)
        count -= len(data)
