"""Turns at computing: a few regions of a process at once, or one alone when memory runs out."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


class Slots:
    """Turns at computing, so that reading and writing overlap it and memory stays bounded.

    Args:
        count: how many threads compute at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = threading.Semaphore(count)
        self._alone = threading.Lock()

    def run[T](self, work: Callable[[], T]) -> T:
        """Do work in a slot; if memory runs out, do it again while nothing else computes.

        A smaller window would fit sooner, but could change the bytes of the map.

        Raises:
            MemoryError: the work does not fit the memory even alone.
        """
        try:
            with self._free:
                return work()
        except MemoryError as error:
            logger.info("%s; retrying with nothing beside it", error)
        with self._all():
            _give_back()
            return work()

    @contextmanager
    def _all(self) -> Iterator[None]:
        """Take all slots; one taker at a time, or two would wait for each other forever."""
        with self._alone:
            for _ in range(self._count):
                self._free.acquire()
            try:
                yield
            finally:
                self._free.release(self._count)


def _give_back() -> None:
    """Free the memory of a failed attempt, on the GPU too."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
