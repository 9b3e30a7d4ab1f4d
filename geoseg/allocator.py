"""Whether freed memory of large arrays stays with the process: settings of glibc's allocator."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

TRIM_THRESHOLD, MMAP_MAX, ARENA_MAX = -1, -4, -8
"""Parameters of mallopt(3), as numbered in malloc.h."""
DEFAULTS = {TRIM_THRESHOLD: 128 << 10, MMAP_MAX: 65536}
KEPT = {TRIM_THRESHOLD: 2**31 - 1, MMAP_MAX: 0}
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""The same as `share`, for processes started with it."""


def share() -> None:
    """Let all threads of this process share one arena from now on.

    Memory that one thread frees can then be used by another one. Arenas that threads have already
    stay, so this comes before libraries start their threads.
    """
    if glibc := _glibc():
        glibc.mallopt(ARENA_MAX, 1)


def keep(*, freed: bool) -> None:
    """Choose whether the memory of freed arrays stays with this process.

    By default glibc returns the memory of each large array to the system and gets it back page by
    page for the next one, which took a sixth of the time of a network run in torch.
    """
    if glibc := _glibc():
        for parameter, value in (KEPT if freed else DEFAULTS).items():
            glibc.mallopt(parameter, value)


@contextmanager
def returned() -> Iterator[None]:
    """Return free memory to the system at the end of the block, whatever was kept in it."""
    try:
        yield
    finally:
        keep(freed=False)
        if glibc := _glibc():
            glibc.malloc_trim(0)


@cache
def _glibc() -> ctypes.CDLL | None:
    if sys.platform != "linux":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") else None
