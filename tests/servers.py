"""Servers on the loopback: one sends parts of files and can misbehave, one is a STAC API."""

from __future__ import annotations

import json
import random
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit


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
        signs: whether it hands files out only to who has asked /sign?href= for a signature.
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
    signs: bool = False
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
            elif state.signs and self.path.startswith("/sign?href="):
                href = parse_qs(urlsplit(self.path).query)["href"][0]
                answer = {"href": f"{href}?sig=good", "msft:expiry": "2099-01-01T00:00:00Z"}
                self.reply(200, json.dumps(answer).encode(), body=body)
            elif state.signs and not self.path.endswith("?sig=good"):
                self.reply(403, b"not signed", body=body)
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

    with _answering(Handler) as state.url:
        try:
            yield state
        finally:
            state.over.set()


@contextmanager
def _answering(handler: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    """The address of a server on this machine, which stops with the block."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@dataclass
class StacServer:
    """A STAC API over items, as much of it as a search needs.

    Attributes:
        items: what it knows.
        page: items on a page.
        url: its address.
        searches: the bodies or queries of all searches.
    """

    items: list[dict[str, Any]]
    page: int = 10
    url: str = ""
    searches: list[dict[str, Any]] = field(default_factory=list)

    def landing(self) -> dict[str, Any]:
        """The first page: what it can do, and where to search."""
        core = "https://api.stacspec.org/v1.0.0"
        search = {"rel": "search", "href": f"{self.url}/search", "type": "application/geo+json"}
        return {
            "type": "Catalog", "stac_version": "1.0.0", "id": "loopback", "description": "Items.",
            "conformsTo": [f"{core}/core", f"{core}/item-search"],
            "links": [
                {"rel": "root", "href": self.url, "type": "application/json"},
                {"rel": "self", "href": self.url, "type": "application/json"},
                search | {"method": "GET"},
                search | {"method": "POST"},
            ],
        }  # fmt: skip

    def found(self, asked: dict[str, Any], method: str) -> dict[str, Any]:
        """A page of what was asked for, and how to get the next one."""
        self.searches.append(asked)
        start, size = int(asked.get("token", 0)), min(int(asked.get("limit", 10)), self.page)
        hits = [item for item in self.items if _matches(item, asked)]
        answer = {"type": "FeatureCollection", "features": hits[start : start + size], "links": []}
        if start + size < len(hits):
            more = asked | {"token": start + size}
            link = {"rel": "next", "href": f"{self.url}/search", "method": method}
            link |= {"body": more} if method == "POST" else {}
            if method == "GET":
                link["href"] += f"?{urlencode({key: _text(value) for key, value in more.items()})}"
            answer["links"] = [link]
        return answer


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _matches(item: dict[str, Any], asked: dict[str, Any]) -> bool:
    if asked.get("collections") and item["collection"] not in asked["collections"]:
        return False
    if asked.get("bbox"):
        west, south, east, north = (float(each) for each in asked["bbox"])
        left, bottom, right, top = item["bbox"]
        if left > east or right < west or bottom > north or top < south:
            return False
    start, _, end = str(asked.get("datetime", "../..")).partition("/")
    moment = str(item["properties"]["datetime"])
    return (start == ".." or start <= moment) and (end in ("", "..") or moment <= end)


@contextmanager
def serve_stac(items: list[dict[str, Any]], page: int = 10) -> Iterator[StacServer]:
    """Answer searches by GET and POST until the block ends."""
    state = StacServer(items, page)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            asked: dict[str, Any] = {key: each[0] for key, each in parse_qs(parts.query).items()}
            for key in ("collections", "bbox"):
                if key in asked:
                    asked[key] = asked[key].split(",")
            at_search = parts.path == "/search"
            self.reply(state.found(asked, "GET") if at_search else state.landing())

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            self.reply(state.found(json.loads(body), "POST"))

        def reply(self, answer: dict[str, Any]) -> None:
            body = json.dumps(answer).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/geo+json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with _answering(Handler) as state.url:
        yield state
