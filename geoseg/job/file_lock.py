"""Files that one run at a time may write."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from geoseg import files
from geoseg.job.lock import lock
from geoseg.layout import LOCK


@contextmanager
def hold_file(final: Path) -> Iterator[None]:
    """Hold the name of a file while it is written; leftovers of killed runs are removed first.

    Args:
        final: the file that will be written, whole or not at all.

    Raises:
        OutputError: another run is writing the file, or its folder cannot be written to.
        RetryError: the disk is full.
    """
    with files.disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
    # A lock per file: other files of the folder may be written at the same time.
    with lock(final.parent, f".{final.name}{LOCK}"):
        files.clear_leftovers(final)
        yield
