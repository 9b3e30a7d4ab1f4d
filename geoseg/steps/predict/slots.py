"""Who computes in a process at once: a few regions, or one alone when memory runs out."""

from __future__ import annotations

import gc
import logging
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

logger = logging.getLogger(__name__)


class Slots:
    """Work that waits for its turn; so reading overlaps computing, and memory is bounded.

    Args:
        count: how many compute at once.
    """

    def __init__(self, count: int) -> None:
        self._count = count
        self._free = threading.Semaphore(count)
        self._alone = threading.Lock()

    def run[T](self, work: Callable[[], T]) -> T:
        """Do work in a slot; what runs out of memory is done again while nothing else computes.

        The window stays the same, and with it the bytes of the map.

        Raises:
            MemoryError: it does not fit even alone.
        """
        try:
            with self._free:
                return work()
        except MemoryError as error:
            logger.info("%s; once more, alone", error)
        with self._all():
            _give_back()
            return work()

    @contextmanager
    def _all(self) -> Iterator[None]:
        """All slots; two that want all would otherwise wait for each other."""
        with self._alone:
            for _ in range(self._count):
                self._free.acquire()
            try:
                yield
            finally:
                self._free.release(self._count)


def _give_back() -> None:
    """Free what a failed attempt held, on the GPU too."""
    import torch

    gc.collect()
    torch.cuda.empty_cache()
