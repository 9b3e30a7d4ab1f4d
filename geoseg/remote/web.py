"""Range requests over http and https."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from geoseg.errors import GeosegError
from geoseg.remote.body import IDLE_S, Body, reason
from geoseg.remote.signing import needs_signature, signer_of

FOR_GOOD = (400, 401, 403, 404, 405, 410)
"""Status codes for which a retry is pointless."""
ANSWER_BYTES = 1 << 16
"""Limit on the size of a signing service's response."""


@contextmanager
def body_of(
    link: str, begin: int, end: int | None, *, name: str, kind: type[GeosegError]
) -> Iterator[Body | None]:
    """Request a range of a file; a server without range support sends all of it.

    Args:
        link: the address as sent.
        begin: the first byte.
        end: the last byte; None for the end of the file.
        name: name of the file in error messages.
        kind: the error to raise if there is no such file or it is refused.

    Yields:
        The response; None if the file ends at ``begin``.

    Raises:
        OSError: the network or the server failed, perhaps for a moment.
    """
    span = f"bytes={begin}-{'' if end is None else end}"
    headers = {"Range": span} if begin or end is not None else {}
    try:
        with _open(_signed(link), headers) as response:
            yield _body(response, begin)
    except urllib.error.HTTPError as error:
        error.close()
        if headers and error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
            yield None
            return
        if error.code not in FOR_GOOD:
            raise
        got = f"{error.code} {error.reason}"
        raise kind("cannot be fetched", where=name, got=got) from error
    except http.client.HTTPException as error:
        raise OSError(reason(error)) from error


def _signed(link: str) -> str:
    """The address with its signature, if it needs one and the service has one for it."""
    if not needs_signature(link):
        return link
    try:
        with _open(signer_of(link), {}) as response:
            return str(json.loads(response.read(ANSWER_BYTES))["href"])
    except urllib.error.HTTPError as error:
        error.close()
        if error.code not in FOR_GOOD:
            raise
        return link
    except (ValueError, KeyError, TypeError) as error:
        raise OSError("the signing service's response cannot be read") from error


def _open(link: str, headers: dict[str, str]) -> Any:
    request = urllib.request.Request(link, headers={"User-Agent": "geoseg"} | headers)  # noqa: S310  (http and https only: see _opener)
    return _opener().open(request, timeout=IDLE_S)


def _body(response: Any, begin: int) -> Body:
    headers = response.headers
    ranged = response.status == http.HTTPStatus.PARTIAL_CONTENT
    text = headers.get("Content-Range" if ranged else "Content-Length", "").rpartition("/")[2]
    version = headers.get("ETag") or headers.get("Last-Modified") or ""
    total = int(text) if text.isdigit() else None
    return Body(response, begin if ranged else 0, total, version, ranged)


@lru_cache(maxsize=1)
def _opener() -> urllib.request.OpenerDirector:
    """An opener for http and https, redirects included; urllib's own also opens file and ftp."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPRedirectHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener
