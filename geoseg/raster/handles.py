"""Open raster files, shared by the threads of a process but never used by two at once."""

from __future__ import annotations

import atexit
import threading
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio

from geoseg import remote
from geoseg.errors import RasterError
from geoseg.raster.drivers import driver_of, require_local
from geoseg.remote import Address, Place

if TYPE_CHECKING:
    from collections.abc import Callable

    from rasterio.errors import RasterioError
    from rasterio.io import DatasetReader

MAX_IDLE_HANDLES = 64
"""Handles kept open for the next window; far below the 256 open files macOS allows a process."""


def with_dataset[T](place: Place, work: Callable[[DatasetReader], T], stamp: str = "") -> T:
    """Call ``work`` with the opened file; reopen a remote one when a transfer fails.

    Args:
        place: the file.
        work: what to do with it.
        stamp: of all files that it is read from; a handle opened at another stamp is not used.

    Raises:
        RasterError: the file cannot be opened.
        UnsafeError: the file is of a kind that must not be opened.
        RasterioError: ``work`` raised it.
    """
    if isinstance(place, Path):
        key = (*_identity(place), stamp)
        return _idle.lend(key, partial(_open_file, place), work)
    with place.settings():
        key = (place.gdal, place.stamp())
        lend = partial(_idle.lend, key, partial(_open_address, place), work)
        return remote.patiently(lend, mend=place.forget)


def cannot_open(place: Place, error: OSError | RasterioError) -> RasterError:
    """The error for a file that GDAL or the system does not open."""
    return RasterError("cannot be opened", where=str(place), got=reason(place, error))


def reason(place: Place, error: BaseException) -> str:
    """GDAL's message, without the keys that an address may hold."""
    cause = root_cause(error)
    return cause if isinstance(place, Path) else cause.replace(place.gdal, place.name)


def root_cause(error: BaseException) -> str:
    """GDAL's first message; rasterio's own often only refers to it."""
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error)


def _identity(path: Path) -> tuple[object, ...]:
    """Tells a file from another one that took its name, so that no stale handle is used."""
    require_local(path)
    try:
        stat = path.stat()
    except OSError as error:
        raise cannot_open(path, error) from error
    return str(path), stat.st_mtime_ns, stat.st_ino, stat.st_size


def _open_file(path: Path) -> DatasetReader:
    try:
        driver = driver_of(path)
        threads = {"num_threads": "all_cpus"} if driver == "GTiff" else {}
        # Absolute, because rasterio takes a relative gs:x.tif for an address.
        return rasterio.open(path.absolute(), driver=driver, **threads)
    except OSError as error:
        raise cannot_open(path, error) from error


def _open_address(address: Address) -> DatasetReader:
    address.forget()  # GDAL caches what it knew of the address, also that nothing was there
    return rasterio.open(address.gdal, driver=driver_of(address))


class _IdleHandles:
    """Handles that nobody uses at the moment.

    GDAL datasets are not thread-safe: two threads that read through one handle get wrong pixels
    (https://gdal.org/en/stable/user/multithreading.html). So a handle is taken out while it is in
    use. The one used last is lent first: consecutive windows overlap, and blocks decoded for one
    are still in that handle's cache.
    """

    def __init__(self) -> None:
        self._free: list[tuple[object, DatasetReader]] = []
        self._lock = threading.Lock()

    def lend[T](
        self, key: object, opened: Callable[[], DatasetReader], work: Callable[[DatasetReader], T]
    ) -> T:
        """Call ``work`` with a handle; one on which it fails is closed, as its state is unknown."""
        handle = self._take(key) or opened()
        try:
            made = work(handle)
        except BaseException:
            handle.close()
            raise
        self._give(key, handle)
        return made

    def close(self) -> None:
        """Close all idle handles."""
        with self._lock:
            while self._free:
                self._free.pop()[1].close()

    def _take(self, key: object) -> DatasetReader | None:
        with self._lock:
            for at in reversed(range(len(self._free))):
                if self._free[at][0] == key:
                    return self._free.pop(at)[1]
        return None

    def _give(self, key: object, handle: DatasetReader) -> None:
        with self._lock:
            self._free.append((key, handle))
            oldest = self._free.pop(0)[1] if len(self._free) > MAX_IDLE_HANDLES else None
        if oldest:
            oldest.close()


_idle = _IdleHandles()
# Handles that outlive the interpreter's own shutdown print errors to stderr.
atexit.register(_idle.close)
