"""Parts of files at http and https addresses."""

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
"""Answers that stay the same however often one asks."""
ANSWER_BYTES = 1 << 16
"""As much of a signer's answer as is read."""


@contextmanager
def body_of(
    link: str, begin: int, end: int | None, *, name: str, kind: type[GeosegError]
) -> Iterator[Body | None]:
    """Bytes of a file, or all of them from a server that sends no parts.

    Args:
        link: the address, as it is sent.
        begin: the first byte.
        end: the last one; that of the file when None.
        name: what errors call the file.
        kind: the error where there is no such file, or it is not handed out.

    Yields:
        What the server answers; None where the file ends at ``begin``.

    Raises:
        OSError: the network or the server failed; that may pass.
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
    """The address with a signature where it needs one; as it is where the signer knows none."""
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
        raise OSError("the signer's answer cannot be read") from error


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
    """For http and https, redirects included; urllib's own opens file and ftp addresses too."""
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
