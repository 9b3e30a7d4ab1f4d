"""The one function that maps work over Dask."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any

from pydantic import Field

from geoseg.errors import ConfigError, RetryError
from geoseg.options import Options
from geoseg.progress import track

if TYPE_CHECKING:
    from dask.distributed import Client

IN_FLIGHT_PER_THREAD = 2
CONNECT_TIMEOUT_S = 30
LOOPBACK = "127.0.0.1:0"
"""Where Dask's status servers listen: nowhere that another machine could reach."""


class WorkerOptions(Options):
    """Where work is done; shared by every step that spreads it."""

    workers: int = Field(0, ge=0)
    """Worker processes; 0 works in threads of this process."""

    cluster: str | None = None
    """Address of a running Dask scheduler, such as tcp://host:8786, instead of own workers."""


def spread[T, R](
    function: Callable[[T], R],
    items: Sequence[T],
    options: WorkerOptions,
    *,
    label: str,
    threads: int = 0,
) -> Iterator[tuple[T, R]]:
    """Call ``function`` on every item on a Dask cluster; yield (item, result) as they finish.

    A bounded number of items is with the cluster at a time, so that a million of them cost the
    scheduler no more than a few. The results come in any order. The first exception ends the work.

    Args:
        function: a module-level function.
        items: its arguments; small, they are pickled.
        options: which cluster.
        label: what is being done, for the progress bar.
        threads: task threads in this process when there are no worker processes; 0 for one per
            core. Worker processes have one each.
    """
    if not items:
        return
    with _client(options, threads) as client:
        yield from track(_results(client, function, items), label=label, total=len(items))


def _results[T, R](
    client: Client, function: Callable[[T], R], items: Sequence[T]
) -> Iterator[tuple[T, R]]:
    from dask.distributed import as_completed

    waiting = iter(items)
    item_of: dict[Any, T] = {}

    def submit(count: int) -> list[Any]:
        futures = []
        for item in islice(waiting, count):
            futures.append(client.submit(function, item, pure=False, retries=0))
            item_of[futures[-1].key] = item
        return futures

    slots = IN_FLIGHT_PER_THREAD * max(1, sum(client.nthreads().values()))
    done = as_completed(submit(slots))
    for future in done:
        item = item_of.pop(future.key)
        result = _result(future, item)
        future.release()
        for following in submit(1):
            done.add(following)
        yield item, result


def _result(future: Any, item: object) -> Any:
    from dask.distributed import KilledWorker

    try:
        return future.result()
    except KilledWorker as error:
        raise RetryError(
            "the worker processes died one after the other, most likely for want of memory",
            got=item,
            fix="run the same command again with fewer --workers",
        ) from error


@contextmanager
def _client(options: WorkerOptions, threads: int) -> Iterator[Client]:
    import dask
    from dask.distributed import Client, LocalCluster
    from dask.system import CPU_COUNT
    from distributed.comm import inproc

    if options.cluster:
        with _connect(options.cluster) as client:
            yield client
        return
    processes = options.workers > 0
    # Dask would look for a route to the internet to name a cluster that lives in this process.
    inproc.global_manager._ip = "127.0.0.1"
    logging.getLogger("distributed").setLevel(logging.CRITICAL)
    settings: dict[str, list[str]] = {
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
    }
    with (
        dask.config.set(settings),
        LocalCluster(
            n_workers=options.workers or 1,
            processes=processes,
            threads_per_worker=1 if processes else threads or CPU_COUNT,
            host="127.0.0.1" if processes else None,
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster) as client,
    ):
        yield client


def _connect(address: str) -> Client:
    from dask.distributed import Client

    try:
        return Client(address, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ConfigError(
            "no Dask scheduler answers", where=address, fix="check --cluster"
        ) from error
