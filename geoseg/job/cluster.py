"""The Dask cluster that does the work: threads, processes, or one that runs already."""

from __future__ import annotations

import atexit
import json
import logging
import platform
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from itertools import starmap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg import allocator
from geoseg.errors import ConfigError, RetryError
from geoseg.job.record import versions

if TYPE_CHECKING:
    from dask.distributed import Client, LocalCluster

CONNECT_TIMEOUT_S = 30
"""Seconds until a scheduler has to answer and have a worker."""

LOOPBACK = "127.0.0.1:0"
"""Dask's status servers listen where no other machine can reach them."""

ALLOWED_DEATHS = 1
"""Workers that an item may lose before it counts as failed: it may only have been beside another
that used up the memory."""

NAMED = 5
"""Workers that an error names one by one."""

RESTART_S = 10
"""Seconds that workers may take to start again before the cluster is closed."""


@contextmanager
def own_cluster(workers: int, threads: int, readers: int) -> Iterator[Client]:
    """A cluster on this machine that ends with the block.

    Args:
        workers: processes with one task thread each; 0 for threads of this process.
        threads: task threads in this process; 0 for one per core.
        readers: task threads on top of those in each process.

    Raises:
        RetryError: a worker process died during start-up.
    """
    import dask
    from dask.distributed import Client
    from dask.system import CPU_COUNT
    from distributed.comm import inproc

    _quieten()
    processes = workers > 0
    nanny = dask.config.get("distributed.nanny.pre-spawn-environ")
    # Dask would look up a route to the internet to name a cluster within this process.
    inproc.global_manager._ip = "127.0.0.1"
    settings: dict[str, Any] = {
        "distributed.scheduler.http.routes": [],
        "distributed.worker.http.routes": [],
        "distributed.worker.profile.enabled": False,
        "distributed.scheduler.allowed-failures": ALLOWED_DEATHS,
        "logging": {"distributed": "critical"},
        "distributed.nanny.pre-spawn-environ": nanny | allocator.ENVIRONMENT,
    }
    with (
        allocator.returned(),
        dask.config.set(settings),
        _start(
            n_workers=workers or 1,
            processes=processes,
            threads_per_worker=(1 if processes else threads or CPU_COUNT) + readers,
            host="127.0.0.1" if processes else None,
            dashboard_address=LOOPBACK,
            worker_dashboard_address=LOOPBACK,
            silence_logs=logging.CRITICAL,
        ) as cluster,
        Client(cluster, set_as_default=False) as client,
    ):
        try:
            yield client
        finally:
            # A worker that is stopped during start-up, after another died, prints a traceback; so
            # it is awaited. After an interrupt the user wants the run to end at once.
            if isinstance(sys.exception(), Exception | None):
                with suppress(OSError):
                    client.wait_for_workers(workers or 1, timeout=RESTART_S)


@contextmanager
def running_cluster(name: str) -> Iterator[Client]:
    """A cluster that runs already and keeps running after the block.

    Args:
        name: address of its scheduler, or the file that ``dask scheduler --scheduler-file`` writes.

    Raises:
        ConfigError: no scheduler answers, or a worker has other versions than this process.
        RetryError: the scheduler has no workers.
    """
    _quieten()
    address = name if _is_address(name) else _read_scheduler_file(Path(name))
    with _connect(address) as client:
        try:
            client.wait_for_workers(1, timeout=CONNECT_TIMEOUT_S)
        except TimeoutError as error:
            raise RetryError(
                "the Dask scheduler has no workers",
                where=address,
                got=f"none within {CONNECT_TIMEOUT_S} s",
                fix=f"start some (dask worker {address}) and run the same command again",
            ) from error
        _check_versions(address, client.run(versions, on_error="return"))
        yield client


@dataclass(frozen=True)
class AmongEquals[T, R]:
    """A function that only runs on workers with the versions of this process.

    Workers are asked once, when the work begins; those that join later are checked here.

    Attributes:
        function: the function.
        made_with: versions in the driving process, by package.
    """

    function: Callable[[T], R]
    made_with: Mapping[str, str]

    def __call__(self, item: T) -> R:
        """The function's result.

        Raises:
            ConfigError: this worker has other versions.
        """
        if difference := _difference(self.made_with, _versions()):
            raise _refusal(platform.node(), difference)
        return self.function(item)


def _quieten() -> None:
    """Silence Dask's log of lost workers and connections: the user gets an error instead."""
    for name in ("distributed", "tornado", "asyncio"):
        logging.getLogger(name).setLevel(logging.CRITICAL)


def _start(**settings: Any) -> LocalCluster:
    from dask.distributed import LocalCluster
    from distributed.deploy.spec import close_clusters

    try:
        return LocalCluster(**settings)
    except RuntimeError as error:
        raise RetryError(
            "the worker processes died during start-up",
            fix="check that there is memory for them, then run the same command again",
        ) from error
    except KeyboardInterrupt:
        # At exit Dask would try to close the half-started cluster, and print a traceback.
        atexit.unregister(close_clusters)
        raise


def _is_address(name: str) -> bool:
    return "://" in name or re.fullmatch(r"[\w.-]+:\d+", name) is not None


def _read_scheduler_file(path: Path) -> str:
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["address"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            "is neither the address of a Dask scheduler nor a scheduler file",
            where=path,
            got=getattr(error, "strerror", None),
            wanted="tcp://host:port, or the file written by dask scheduler --scheduler-file",
            fix="check --cluster",
        ) from error


def _connect(address: str) -> Client:
    from dask.distributed import Client

    try:
        return Client(address, set_as_default=False, timeout=CONNECT_TIMEOUT_S)
    except (OSError, ValueError) as error:
        raise ConfigError(
            "no Dask scheduler answers", where=address, fix="check --cluster"
        ) from error


def _check_versions(address: str, found: Mapping[str, Any]) -> None:
    """Refuse workers on which the same work could give other bytes."""
    here = versions()
    workers = defaultdict(list)
    for worker, there in found.items():
        if isinstance(there, OSError):  # the worker has left
            continue
        workers[_difference(here, there)].append(worker)
    workers.pop("", None)
    if workers:
        raise _refusal(address, "; ".join(starmap(_on, workers.items())))


def _on(difference: str, workers: Sequence[str]) -> str:
    more = f" and {len(workers) - NAMED} more" if len(workers) > NAMED else ""
    return f"{difference} on {', '.join(workers[:NAMED])}{more}"


def _refusal(where: str, difference: str) -> ConfigError:
    return ConfigError(
        "workers have other versions than this process",
        where=where,
        got=difference,
        fix="install the same versions in the environment of the workers",
    )


def _difference(here: Mapping[str, str], there: Mapping[str, str] | Exception) -> str:
    """The versions that a worker has instead of those here; its other packages do not matter."""
    if isinstance(there, Exception):
        return f"geoseg cannot be loaded ({there})"
    return ", ".join(
        f"{name} {there.get(name, 'absent')} (here {version})"
        for name, version in here.items()
        if there.get(name) != version
    )


_versions = cache(versions)
