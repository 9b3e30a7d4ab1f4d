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
ENVIRONMENT = {"MALLOC_ARENA_MAX": "1"}
"""What `share` does, for processes that are started with it."""


def share() -> None:
    """One arena for the threads of this process from now on, as large arrays need it to be kept.

    Arenas that threads have already stay; so this comes before libraries start theirs.
    """
    if glibc := _glibc():
        glibc.mallopt(ARENA_MAX, 1)


def keep(*, freed: bool) -> None:
    """Whether the memory of freed arrays stays with this process.

    Otherwise glibc gives the memory of each large array back to the system and gets it again, page
    by page, for the next one: a sixth of the time of a network that runs in torch.
    """
    if glibc := _glibc():
        for parameter, value in (KEPT if freed else DEFAULTS).items():
            glibc.mallopt(parameter, value)


@contextmanager
def returned() -> Iterator[None]:
    """Whatever was kept in the block, at its end free memory goes back to the system."""
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
