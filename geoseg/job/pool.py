"""The one function that spreads work over Dask."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain, islice
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any

from pydantic import Field

from geoseg.errors import ConfigError, GeosegError, PartialError, RetryError
from geoseg.job.cluster import AmongEquals, own_cluster, running_cluster
from geoseg.job.record import versions
from geoseg.options import Options
from geoseg.progress import track

if TYPE_CHECKING:
    from dask.distributed import Client

logger = logging.getLogger(__name__)
IN_FLIGHT_PER_THREAD = 2
"""One item is worked on while the next is on its way, so that no thread waits for the scheduler."""

COMMON_CAUSE = 3
"""If this many items fail before any succeeds, they share a cause that retries cannot cure."""

NAMED = 5
"""Failures that an error names one by one."""

STALL_S = 60.0
"""How long a run waits for workers to come back when none is left."""

CHECK_S = 5.0
"""Seconds between looks at the cluster while no result comes."""

ASK_S = 10.0
"""Seconds that the scheduler may take to answer."""

AGAIN = "run the same command again"


class WorkerOptions(Options):
    """Where the work is done; shared by every step that can spread it."""

    workers: int = Field(0, ge=0)
    """Worker processes; 0 works in threads of this process."""

    cluster: str | None = None
    """A running Dask cluster instead of own workers: the address of its scheduler, such as
    tcp://host:8786, or its scheduler file."""


def spread[T, R](
    function: Callable[[T], R],
    items: Iterable[T],
    options: WorkerOptions,
    *,
    label: str,
    total: int | None = None,
    threads: int = 0,
    readers: int = 0,
    attempts: int = 1,
    waiting: Callable[[], int] = int,
) -> Iterator[tuple[T, R]]:
    """Call ``function`` on every item on a Dask cluster; yield (item, result) as they finish.

    The scheduler is given a bounded number of items at a time, so a million of them cost it no
    more than a few. Results come in any order, each once. An item whose worker process dies is
    given to another worker.

    With one attempt, the first exception ends the work. With more, items that raise or kill their
    worker are retried after all the rest, one at a time: then an item can fail only by itself, not
    because of what runs beside it. A `ConfigError` or `RetryError` ends the work at once, as no
    retry can cure it.

    Args:
        function: a module-level function; it is pickled by name.
        items: its arguments, small, as they are pickled; taken from the iterable when needed.
        options: threads, processes or a running cluster.
        label: text of the progress bar.
        total: about how many items there are, if known.
        threads: task threads in this process when there are no worker processes; 0 for one per
            core. Worker processes have one each.
        readers: task threads on top of those in each process, so that one item is read while
            another is computed. A running cluster keeps the threads it was started with.
        attempts: how often an item is tried.
        waiting: returns how many results the caller holds back; the cluster gets so many items
            fewer.

    Raises:
        ConfigError: the cluster cannot be used, or an item raised it.
        PartialError: some items failed at every attempt; all others were yielded.
        RetryError: an item raised it, worker processes died again and again, or the cluster is
            gone.
    """
    left = iter(items)
    first = list(islice(left, 1))
    if not first:  # starting a cluster takes a second
        return
    with _cluster(options, threads, readers) as client:
        picklable = _PicklableErrors(function)
        call = AmongEquals(picklable, versions()) if options.cluster else picklable
        slots = _Slots(client, waiting)
        found = _results(client, call, chain(first, left), attempts, label, slots)
        yield from track(found, label=label, total=total)


def _cluster(options: WorkerOptions, threads: int, readers: int) -> AbstractContextManager[Client]:
    if options.cluster:
        return running_cluster(options.cluster)
    return own_cluster(options.workers, threads, readers)


@dataclass(frozen=True)
class _PicklableErrors[T, R]:
    """A function whose errors come back from a worker with their own type.

    Dask pickles an error together with its causes. GDAL's errors cannot be pickled, and Dask
    would turn the whole error into text.
    """

    function: Callable[[T], R]

    def __call__(self, item: T) -> R:
        try:
            return self.function(item)
        except GeosegError as error:
            error.__cause__ = error.__context__ = None
            raise


@dataclass(frozen=True)
class _Failure:
    """An exception in place of a result."""

    name: str
    error: Exception

    @property
    def is_death(self) -> bool:
        from dask.distributed import KilledWorker

        return isinstance(self.error, KilledWorker)

    @property
    def reason(self) -> str:
        if self.is_death:
            return "its worker process died, probably out of memory"
        if isinstance(self.error, GeosegError):
            return str(self.error)
        return f"{type(self.error).__name__}: {self.error}"


def _results[T, R](
    client: Client,
    function: Callable[[T], R],
    items: Iterable[T],
    attempts: int,
    label: str,
    slots: Callable[[], int],
) -> Iterator[tuple[T, R]]:
    done, left = 0, items
    failures: list[_Failure] = []
    for attempt in range(attempts):
        failures, again = [], []
        for item, outcome in _outcomes(client, function, left, _one if attempt else slots):
            if not isinstance(outcome, _Failure):
                done += 1
                yield item, outcome
                continue
            failures.append(outcome)
            again.append(item)
            if attempts == 1 or isinstance(outcome.error, RetryError | ConfigError):
                raise _as_error(outcome)
            if not done and _have_one_cause(failures, slots()):
                raise _as_error(failures[0])
            logger.info(
                "%s: %s failed and is retried later: %s", label, outcome.name, outcome.reason
            )
        left = again
    if failures:
        raise _partial(failures, done + len(failures), attempts, label)


def _have_one_cause(failures: Sequence[_Failure], slots: int) -> bool:
    """Whether so many items failed before any succeeded that none of them is to blame.

    A worker that dies takes with it all items that it holds, so twice as many deaths are needed.
    """
    limit = max(COMMON_CAUSE, slots)
    raised = sum(not failure.is_death for failure in failures)
    return raised >= limit or len(failures) >= 2 * limit


def _as_error(failure: _Failure) -> Exception:
    if not failure.is_death:
        return failure.error
    error = RetryError(
        "the worker processes died one after the other, probably out of memory",
        got=failure.name,
        fix=f"{AGAIN} with fewer --workers",
    )
    error.__cause__ = failure.error
    return error


def _partial(failures: Sequence[_Failure], total: int, attempts: int, label: str) -> PartialError:
    named = "; ".join(f"{failure.name} ({failure.reason})" for failure in failures[:NAMED])
    more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
    error = PartialError(
        f"{len(failures)} of {total} failed at {attempts} attempts each",
        failures=[(failure.name, failure.reason) for failure in failures],
        where=label,
        got=named + more,
        fix=f"remove the causes and {AGAIN}; the rest is kept",
    )
    error.__cause__ = failures[0].error
    return error


def _outcomes[T, R](
    client: Client, function: Callable[[T], R], items: Iterable[T], slots: Callable[[], int]
) -> Iterator[tuple[T, R | _Failure]]:
    waiting = iter(items)
    item_of: dict[Any, T] = {}
    finished: SimpleQueue[Any] = SimpleQueue()
    watch = _Watch(client)

    def fill() -> None:
        for item in islice(waiting, max(0, slots() - len(item_of))):
            # Not pure: equal items are separate work. No retries: they are counted here.
            future = client.submit(function, item, pure=False, retries=0)
            item_of[future.key] = item
            future.add_done_callback(finished.put)

    fill()
    while item_of:
        try:
            future = finished.get(timeout=CHECK_S)
        except Empty:
            watch.look()
            fill()
            continue
        item = item_of.pop(future.key)
        outcome = _outcome(future, item, watch)
        future.release()
        watch.rest()
        fill()  # the cluster works on while the caller uses the result
        yield item, outcome
        fill()  # the caller may have used results that waited


def _outcome(future: Any, item: object, watch: _Watch) -> Any:
    """The result, or the failure in its place.

    A result can be lost after it was announced, with the worker that held it; Dask computes it
    again, so it is awaited again.
    """
    from distributed.client import FutureCancelledError

    while True:
        try:
            return future.result(timeout=CHECK_S)
        except FutureCancelledError as error:
            raise RetryError("the connection to the Dask scheduler was lost", fix=AGAIN) from error
        except Exception as error:
            if isinstance(error, TimeoutError) and future.status != "error":
                watch.look()
                continue
            return _Failure(str(item), error)


class _Slots:
    """How many items the cluster may hold: more when workers join it, fewer when they leave."""

    def __init__(self, client: Client, waiting: Callable[[], int]) -> None:
        self._client, self._waiting = client, waiting
        self._count, self._asked = 0, 0.0

    def __call__(self) -> int:
        if not self._count or time.monotonic() - self._asked > CHECK_S:
            threads = sum(self._client.nthreads().values())
            self._count, self._asked = IN_FLIGHT_PER_THREAD * max(1, threads), time.monotonic()
        return self._count - self._waiting()


def _one() -> int:
    return 1


class _Watch:
    """Notices when no worker is left."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._idle_since: float | None = None

    def rest(self) -> None:
        """Note that a result came."""
        self._idle_since = None

    def look(self) -> None:
        """Check that some worker runs.

        Raises:
            RetryError: none has for a minute.
        """
        if self._someone_works():
            self._idle_since = None
        elif self._idle_since is None:
            self._idle_since = time.monotonic()
        elif time.monotonic() - self._idle_since > STALL_S:
            raise RetryError(
                "no Dask worker is running",
                got=f"none for {STALL_S:.0f} s",
                fix=f"check that workers run and have memory, then {AGAIN}",
            )

    def _someone_works(self) -> bool:
        scheduler: Any = self._client.scheduler
        try:
            found = self._client.sync(scheduler.identity, callback_timeout=ASK_S)
        except OSError:
            return False
        return any(
            worker["status"] == "running" or worker["metrics"]["task_counts"].get("executing")
            for worker in found["workers"].values()
        )
