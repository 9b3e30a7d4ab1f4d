"""The bytes of a file, as a server sends them, and how long one waits for them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.error import URLError

CONNECT_S = 10
IDLE_S = 30
"""A transfer that stands still for so long is given up."""
RETRIES = 3
PAUSE_S = 0.5


@dataclass(frozen=True)
class Body:
    """A file or a part of it, while it is being sent.

    Attributes:
        stream: what `read` takes bytes from.
        begin: where in the file they begin.
        total: the size of the file, where the server says so.
        version: a text that changes with the file, as far as the server tells.
        ranged: whether the server sends parts at all.
    """

    stream: Any
    begin: int
    total: int | None
    version: str
    ranged: bool


def patiently[T](work: Callable[[], T], mend: Callable[[], object] | None = None) -> T:
    """Call ``work`` again after an OSError, a few times and not for long.

    Args:
        work: what may fail.
        mend: called before each further trial.

    Raises:
        OSError: as the last trial did.
    """
    started = time.monotonic()
    for trial in range(1, RETRIES + 1):
        try:
            return work()
        except OSError:
            if time.monotonic() - started > 1.5 * IDLE_S:  # it has stood still twice
                raise
        time.sleep(PAUSE_S * trial)
        if mend:
            mend()
    return work()


def reason(error: BaseException) -> str:
    """What went wrong, in the server's or the system's words."""
    if type(error) is URLError:
        return str(error.reason)
    return str(error) or type(error).__name__
