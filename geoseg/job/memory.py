"""Where the memory of large arrays goes when they are freed: glibc's settings, and no others."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Parameters of mallopt(3)."""
DEFAULTS = {TRIM_THRESHOLD: 128 << 10, MMAP_MAX: 65536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}
UNLIMITED = 0
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""One arena in the processes that are started with it."""


@contextmanager
def shared() -> Iterator[None]:
    """One arena for all threads that are started in the block, so that `keep` holds for them.

    At the end everything is as glibc has it by default, and free memory goes back to the system.
    """
    glibc = _glibc()
    if glibc is None:
        yield
        return
    glibc.mallopt(ARENA_MAX, 1)
    try:
        yield
    finally:
        glibc.mallopt(ARENA_MAX, UNLIMITED)
        keep(freed=False)
        glibc.malloc_trim(0)


def keep(*, freed: bool) -> None:
    """Whether the memory of freed arrays stays with this process.

    Otherwise glibc gives the memory of each large array back to the system and gets it again, page
    by page, for the next one: a sixth of the time of a network that runs in torch.
    """
    glibc = _glibc()
    if glibc is not None:
        for parameter, value in (KEPT if freed else DEFAULTS).items():
            glibc.mallopt(parameter, value)


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") else None
