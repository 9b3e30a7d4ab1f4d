"""Work spread over Dask with results in the order of the items."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

from geoseg.job.pool import WorkerOptions, spread


def in_order[T, R](
    function: Callable[[T], R], items: Iterable[T], *, options: WorkerOptions, label: str
) -> Iterator[R]:
    """Call ``function`` on every item as `spread` does; yield the results in the order of items.

    A result that comes before its turn waits here, and counts as if its item were still being
    worked on. So the number of waiting results is bounded, however long one item takes.

    Args:
        function: a module-level function; it is pickled by name.
        items: its arguments; they are pickled.
        options: threads, processes or a running cluster.
        label: text of the progress bar.

    Raises:
        ConfigError: the cluster cannot be used, or an item raised it.
        RetryError: an item raised it, killed its workers, or the cluster is gone.
    """
    numbered = (_Numbered(number, item) for number, item in enumerate(items))
    early: dict[int, R] = {}  # results that came before their turn
    turn = 0
    for item, result in spread(
        _Unwrapped(function), numbered, options, label=label, waiting=lambda: len(early)
    ):
        early[item.number] = result
        while turn in early:
            yield early.pop(turn)
            turn += 1


def on_workers(
    options: WorkerOptions, *, label: str
) -> Callable[[Callable[[Any], Any], Iterable[Any]], Iterator[Any]] | None:
    """`in_order` on the workers that the user asked for; None where none were.

    Args:
        options: worker processes or a running cluster.
        label: text of the progress bar.
    """
    if options.workers or options.cluster:
        return partial(in_order, options=options, label=label)
    return None


@dataclass(frozen=True, eq=False)
class _Numbered[T]:
    """An item and its position; compared by identity, as items need not be comparable."""

    number: int
    item: T

    def __str__(self) -> str:
        return str(self.item)


@dataclass(frozen=True)
class _Unwrapped[T, R]:
    """A function of items, for numbered ones."""

    function: Callable[[T], R]

    def __call__(self, numbered: _Numbered[T]) -> R:
        return self.function(numbered.item)
