"""The body of a response, time-outs and retries."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

CONNECT_S = 10
IDLE_S = 30
"""Transfers that stall for this long are given up."""
RETRIES = 3
PAUSE_S = 0.5
"""Pause before the first retry; the second waits twice as long, and so on."""


@dataclass(frozen=True)
class Body:
    """A file, or a range of it, as it arrives.

    Attributes:
        stream: file-like object with the bytes.
        begin: position in the file of the first byte.
        total: size of the file, if the server states it.
        version: ETag or Last-Modified; empty if the server states neither.
        ranged: whether the server supports range requests.
    """

    stream: Any
    begin: int
    total: int | None
    version: str
    ranged: bool


def patiently[T](work: Callable[[], T], mend: Callable[[], object] | None = None) -> T:
    """Call ``work``, and retry it a few times after an OSError.

    Args:
        work: the call that may fail.
        mend: called before each retry.

    Raises:
        OSError: the last attempt failed too.
    """
    started = time.monotonic()
    for trial in range(1, RETRIES + 1):
        try:
            return work()
        except OSError:
            if time.monotonic() - started > 1.5 * IDLE_S:  # it has stalled twice
                raise
        time.sleep(PAUSE_S * trial)
        if mend:
            mend()
    return work()


def reason(error: BaseException) -> str:
    """The message of an error; its type if it has none."""
    if type(error) is URLError:
        return str(error.reason)
    return str(error) or type(error).__name__
