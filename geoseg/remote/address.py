"""A file on a server, as a value."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import quote, urlsplit

from geoseg.errors import ConfigError, GeosegError, RasterError, UnsafeError
from geoseg.remote import s3, web
from geoseg.remote.body import CONNECT_S, IDLE_S, PAUSE_S, Body, patiently, reason
from geoseg.remote.signing import needs_signature, signed_by_gdal

HEAD_BYTES = 1024
"""GDAL chooses a driver by the first 1024 bytes; size and version come with the same response."""
SLOW_BYTES_PER_S = 100
"""Slower transfers count as stalled."""

type Place = Path | Address


def is_remote(text: str | Path) -> bool:
    """Whether a text is an http, https or s3 address, not a file name.

    Example:
        >>> is_remote("s3://bucket/scene.tif"), is_remote("file:///scene.tif"), is_remote("a.tif")
        (True, False, False)
    """
    return re.match(r"(https?|s3)://", str(text), re.IGNORECASE) is not None


@dataclass(frozen=True)
class Address:
    """A file on a server, as a value; the server is asked once, when first needed.

    Attributes:
        url: an http, https or s3 address.

    Raises:
        UnsafeError: the scheme is another one, or the address holds a password.
        ConfigError: the address has no path to a file.

    Example:
        >>> Address("https://example.com/2024/scene.tif?token=x").name
        'https://example.com/2024/scene.tif'
        >>> Address("s3://bucket/2024/scene.tif").gdal
        '/vsis3/bucket/2024/scene.tif'
    """

    url: str

    def __post_init__(self) -> None:
        if not is_remote(self.url):
            raise UnsafeError("is not a readable address", got=self.url, wanted="https, http or s3")
        parts = urlsplit(self.url)
        if "@" in parts.netloc:
            raise UnsafeError("the address holds a password", got=parts.hostname)
        if not parts.netloc or not parts.path.strip("/") or re.search(r"[\0-\37\177]", self.url):
            raise ConfigError("the address names no file", got=self.url)

    def __str__(self) -> str:
        return self.name

    @property
    def name(self) -> str:
        """The address without its query, which often is a secret token that changes every hour."""
        return self.url if self._bucket else re.split(r"[?#]", self.url, maxsplit=1)[0]

    @property
    def gdal(self) -> str:
        """The name under which GDAL reads it by range requests."""
        if self._bucket:
            return f"/vsis3/{self._bucket}/{self._key}"
        return signed_by_gdal(self._link) if self.needs_signature else f"/vsicurl/{self._link}"

    @property
    def needs_signature(self) -> bool:
        """Whether a signature has to be requested to read it."""
        return not self._bucket and needs_signature(self._link)

    @property
    def head(self) -> bytes:
        """The first bytes of the file, up to `HEAD_BYTES`."""
        return self._answer.head

    @property
    def size(self) -> int:
        """The size in bytes."""
        return self._answer.size

    @property
    def ranged(self) -> bool:
        """Whether the server supports range requests."""
        return self._answer.ranged

    def stamp(self) -> str:
        """A text that changes with the content, by size and ETag or Last-Modified."""
        answer = self._answer
        return f"{self.name if answer.version else self.url} {answer.size} {answer.version}"

    def forget(self) -> None:
        """Drop what GDAL has cached of it."""
        from rasterio.cache import invalidate

        invalidate(self.gdal)

    @contextmanager
    def settings(self) -> Iterator[None]:
        """Run GDAL with time-outs, the credentials of s3, and no requests for sidecar files."""
        import rasterio
        from rasterio.session import DummySession

        options = {
            "GDAL_DISABLE_READDIR_ON_OPEN": "EMPTY_DIR",
            "GDAL_HTTP_CONNECTTIMEOUT": str(CONNECT_S),
            "GDAL_HTTP_LOW_SPEED_LIMIT": str(SLOW_BYTES_PER_S),
            "GDAL_HTTP_LOW_SPEED_TIME": str(IDLE_S),
            "GDAL_HTTP_MAX_RETRY": "5",
            "GDAL_HTTP_RETRY_DELAY": str(PAUSE_S),
            "GDAL_NUM_THREADS": "1",  # with more, /vsicurl/ has silently left blocks blank
            "GDAL_PAM_ENABLED": "NO",
        }
        session = DummySession()
        if self._bucket:
            found = s3.reach()
            session, options = found.credentials(), options | found.options
        with rasterio.Env(session=session, **options):
            yield

    def rest(self, begin: int) -> AbstractContextManager[Body | None]:
        """Request the bytes from ``begin`` on; a server without range support sends all of them.

        Returns:
            A context manager of the response; of None if the file ends at ``begin``.

        Raises:
            ConfigError: the server has no such file or refuses it.
            OSError: the network or the server failed, perhaps for a moment.
        """
        return self._body(begin, None, ConfigError)

    @cached_property
    def _answer(self) -> _Answer:
        try:
            return patiently(self._ask)
        except OSError as error:
            raise RasterError(
                "cannot be reached", where=self.name, got=reason(error), fix="try again later"
            ) from error

    def _ask(self) -> _Answer:
        with self._body(0, HEAD_BYTES - 1, RasterError) as body:
            if body is None:
                return _Answer(b"", 0, "", ranged=True)
            head = bytes(body.stream.read(HEAD_BYTES))
            size = len(head) if body.total is None else body.total
            if len(head) < min(size, HEAD_BYTES):
                raise OSError(f"{len(head)} bytes of {min(size, HEAD_BYTES)}")
            return _Answer(head, size, body.version, body.ranged)

    def _body(
        self, begin: int, end: int | None, kind: type[GeosegError]
    ) -> AbstractContextManager[Body | None]:
        if self._bucket:
            return s3.body_of(self._bucket, self._key, begin, end, kind=kind)
        return web.body_of(self._link, begin, end, name=self.name, kind=kind)

    @property
    def _bucket(self) -> str | None:
        return urlsplit(self.url).netloc if self.url[:2].lower() == "s3" else None

    @property
    def _key(self) -> str:
        """Everything after the bucket, verbatim: a key may hold ? and #."""
        return self.url.split("/", 3)[3]

    @property
    def _link(self) -> str:
        """The address as sent: without fragment, percent-encoded."""
        scheme, _, rest = self.url.partition("#")[0].partition(":")
        return f"{scheme.lower()}:{quote(rest, safe="/?:@!$&'()*+,;=%~[]-._")}"


@dataclass(frozen=True)
class _Answer:
    """A server's answer about a file; the version changes when the file does."""

    head: bytes
    size: int
    version: str
    ranged: bool
