"""A progress bar on standard error for work longer than a second, if that is a terminal."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator


def track[T](items: Iterable[T], *, label: str, total: int | None) -> Iterator[T]:
    """Yield ``items``, and show a bar once a second has passed.

    Args:
        items: the items to iterate over.
        label: a word or two beside the bar.
        total: number of items; None if unknown.
    """
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    start, shown = time.monotonic(), False
    task = bar.add_task(label, total=total)
    try:
        for item in items:
            yield item
            bar.advance(task)
            if not shown and time.monotonic() - start > 1:
                bar.start()
                shown = True
    finally:
        if shown:
            bar.stop()
