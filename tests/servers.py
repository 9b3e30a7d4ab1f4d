"""A server on the loopback that sends parts of files, counts what it sends, and can misbehave."""

from __future__ import annotations

import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path


@dataclass
class RangeServer:
    """What the server serves, how it behaves, and what it was asked.

    Attributes:
        folder: the files it serves.
        url: its address.
        requests: "METHOD path range" of every request.
        sent: bytes of all bodies.
        dropped: share of bodies that end half way.
        stalls: whether bodies never come.
        ranged: whether it sends parts.
        busy: number of requests still to be answered with 503.
        etag: what it says of every file's version.
    """

    folder: Path
    url: str = ""
    requests: list[str] = field(default_factory=list)
    sent: int = 0
    dropped: float = 0.0
    stalls: bool = False
    ranged: bool = True
    busy: int = 0
    etag: str | None = '"1"'
    dice: random.Random = field(default_factory=lambda: random.Random(5))
    over: threading.Event = field(default_factory=threading.Event)


@contextmanager
def serve(folder: Path) -> Iterator[RangeServer]:
    """Serve a folder until the block ends."""
    state = RangeServer(folder)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self.answer(body=False)

        def do_GET(self) -> None:
            self.answer(body=True)

        def answer(self, *, body: bool) -> None:
            asked = self.headers.get("Range", "")
            if state.over.is_set():
                self.close_connection = True
                return
            state.requests.append(f"{self.command} {self.path} {asked}".strip())
            path = state.folder / self.path.partition("?")[0].lstrip("/")
            if state.busy > 0:
                state.busy -= 1
                self.reply(503, b"busy", body=body)
            elif self.path.startswith("/to/"):
                self.reply(302, b"", body=body, Location=self.path.removeprefix("/to/"))
            elif not path.is_file():
                self.reply(404, b"<html>not here</html>", body=body)
            else:
                self.part(path.read_bytes(), asked, body=body)

        def part(self, data: bytes, asked: str, *, body: bool) -> None:
            extra = {"ETag": state.etag} if state.etag else {}
            match = re.fullmatch(r"bytes=(\d+)-(\d*)", asked)
            if not (match and state.ranged):
                self.reply(200, data, body=body, **extra)
                return
            first, last = int(match[1]), min(int(match[2] or len(data)), len(data) - 1)
            if first >= len(data):
                self.reply(416, b"", body=body)
                return
            extra["Content-Range"] = f"bytes {first}-{last}/{len(data)}"
            self.reply(206, data[first : last + 1], body=body, **extra)

        def reply(self, status: int, data: bytes, *, body: bool, **headers: str) -> None:
            self.send_response(status)
            for name, value in (headers | {"Content-Length": str(len(data))}).items():
                self.send_header(name, value)
            self.end_headers()
            if not body:
                return
            if state.stalls:
                state.over.wait(20)
                self.close_connection = True
                return
            if state.dice.random() < state.dropped:
                data, self.close_connection = data[: len(data) // 2], True
            state.sent += len(data)
            self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            pass

        def handle(self) -> None:
            with suppress(BrokenPipeError, ConnectionResetError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    state.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.over.set()
        server.shutdown()
        server.server_close()
        thread.join()
