"""Work spread over Dask: items that fail, workers that die, clusters of the user."""

from __future__ import annotations

import os
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from clusters import Cluster
from distributed import Client

from geoseg.errors import ConfigError, PartialError, RasterError, RetryError
from geoseg.job import WorkerOptions, spread

HERE = WorkerOptions()
ONE = {"label": "squares", "threads": 1}
SLOTS = 2
"""Items in flight per thread."""

FLAWS = ((3, 1), (7, 1), (7, 2))
"""Items, and at which of their calls they fail."""


@dataclass(frozen=True)
class Named:
    """An item with a name."""

    name: str
    number: int = 0

    def __str__(self) -> str:
        return self.name


class Calls:
    """Counts calls in this process, and fails where it is told to."""

    def __init__(self, fails: Callable[[int, int], Exception | None] = lambda *_: None) -> None:
        self.order: list[int] = []
        self.together: list[int] = []
        self._now, self._fails, self._lock = 0, fails, threading.Lock()

    def __call__(self, number: int) -> int:
        with self._lock:
            self._now += 1
            self.order.append(number)
            self.together.append(self._now)
            time = self.order.count(number)
        try:
            if error := self._fails(number, time):
                raise error
            return number * number
        finally:
            with self._lock:
                self._now -= 1


calls = Calls()
pair = threading.Barrier(2)


def call(number: int) -> int:
    return calls(number)


def meet(number: int) -> int:
    """Comes back when two items are worked on in this process."""
    pair.wait(timeout=30)
    return number


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def dwell(number: int) -> int:
    threading.Event().wait(0.1)
    return os.getpid()


def refuse(item: Named) -> None:
    if item.number:
        raise RasterError("is broken", where=item.name)


def die_of(bad: int, number: int) -> int:
    if number == bad:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def use(monkeypatch: pytest.MonkeyPatch, fails: Callable[[int, int], Exception | None]) -> Calls:
    """Let `call` fail for (number, how often it was called)."""
    monkeypatch.setattr(f"{__name__}.calls", Calls(fails))
    return calls


def collect(items: Iterator[tuple[Any, Any]]) -> tuple[list[Any], PartialError]:
    """What is yielded before the error that has to come."""
    found: list[Any] = []
    with pytest.raises(PartialError) as caught:
        found.extend(item for item, _ in items)
    return found, caught.value


class TestAttempts:
    def test_an_item_that_fails_is_tried_alone_after_all_the_rest(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = use(monkeypatch, lambda n, time: OSError() if (n, time) in FLAWS else None)
        found = list(spread(call, range(20), HERE, label="x", threads=3, attempts=3))
        assert Counter(item for item, _ in found) == Counter(range(20))
        assert all(result == item * item for item, result in found)
        assert sorted(seen.order[:20]) == list(range(20))
        assert seen.order[20:] in ([3, 7, 7], [7, 3, 7])
        assert seen.together[20:] == [1, 1, 1]

    def test_what_fails_three_times_is_listed_while_the_rest_completes(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = use(monkeypatch, lambda n, _: ValueError(f"bad {n}") if n in (4, 9) else None)
        found, error = collect(spread(call, range(12), HERE, **ONE, attempts=3))
        assert found == [0, 1, 2, 3, 5, 6, 7, 8, 10, 11]
        assert error.failures == (("4", "ValueError: bad 4"), ("9", "ValueError: bad 9"))
        assert error.exit_code == 3
        assert "squares: 2 of 12 failed at 3 attempts each; got 4 (ValueError: bad 4);" in str(
            error
        )
        assert Counter(seen.order)[4] == Counter(seen.order)[9] == 3

    def test_five_are_named_and_the_rest_counted(self) -> None:
        items = [Named(f"{n}.tif", n % 2) for n in range(14)]
        _, error = collect(spread(refuse, items, HERE, **ONE, attempts=2))
        assert len(error.failures) == 7
        assert error.failures[0] == ("1.tif", "1.tif: is broken")
        assert "9.tif (9.tif: is broken); and 2 more." in str(error)
        assert "11.tif" not in str(error)
        assert isinstance(error.__cause__, RasterError)

    def test_one_attempt_ends_with_the_first_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = use(monkeypatch, lambda n, _: KeyError(n) if n == 5 else None)
        with pytest.raises(KeyError):
            list(spread(call, range(100), HERE, **ONE))
        assert len(seen.order) <= 6 + SLOTS

    def test_what_everyone_suffers_from_ends_the_work_early(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = use(monkeypatch, lambda n, _: RasterError("is broken", where=f"{n}"))
        with pytest.raises(RasterError, match="0: is broken"):
            list(spread(call, range(100), HERE, **ONE, attempts=3))
        assert len(seen.order) <= 3 + SLOTS
        assert Counter(seen.order)[0] == 1

    def test_a_full_disk_ends_the_work_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        seen = use(monkeypatch, lambda n, _: RetryError("the disk is full") if n == 5 else None)
        with pytest.raises(RetryError, match="the disk is full"):
            list(spread(call, range(100), HERE, **ONE, attempts=3))
        assert len(seen.order) <= 6 + SLOTS

    def test_a_time_out_of_an_item_is_its_own_and_not_the_cluster_s(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        use(monkeypatch, lambda n, _: TimeoutError("no answer") if n == 5 else None)
        found, error = collect(spread(call, range(9), HERE, **ONE, attempts=2))
        assert len(found) == 8
        assert error.failures == (("5", "TimeoutError: no answer"),)


class TestInFlight:
    def test_no_more_items_are_with_the_cluster_than_two_per_thread(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        seen = use(monkeypatch, lambda *_: None)
        for done, _ in enumerate(spread(call, range(200), HERE, label="x", threads=3), start=1):
            assert len(seen.order) <= done + 3 * SLOTS
            (client,) = (each for each in Client._instances if each.status == "running")
            assert len(client.futures) <= 3 * SLOTS + 3

    def test_items_are_made_as_they_are_needed(self) -> None:
        made: list[int] = []
        items = (made.append(n) or n for n in range(1000))
        for done, _ in enumerate(spread(square, items, HERE, **ONE), start=1):
            assert len(made) <= done + SLOTS
            if done == 50:
                break

    @pytest.mark.parametrize("workers", [0, 1])
    def test_a_reader_works_on_a_second_item_in_each_process(self, workers: int) -> None:
        options = WorkerOptions(workers=workers)
        assert len(list(spread(meet, range(8), options, **ONE, readers=1))) == 8


class TestDeath:
    @pytest.mark.slow
    @pytest.mark.parametrize(("workers", "readers"), [(1, 1), (2, 0)])
    def test_an_item_that_kills_its_worker_is_found_and_no_other_is_blamed(
        self, workers: int, readers: int
    ) -> None:
        found, error = collect(
            spread(
                partial(die_of, 5), range(12), WorkerOptions(workers=workers),
                label="x", readers=readers, attempts=3,
            )
        )  # fmt: skip
        assert sorted(found) == [0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]
        assert error.failures == (("5", "its worker process died, probably out of memory"),)

    @pytest.mark.slow
    def test_a_worker_killed_from_outside_costs_nothing_but_time(self) -> None:
        found: list[int] = []
        for item, pid in spread(dwell, range(30), WorkerOptions(workers=2), label="x", attempts=3):
            found.append(item)
            if len(found) == 8:
                os.kill(pid, signal.SIGKILL)
        assert sorted(found) == list(range(30))


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    started = Cluster(tmp_path)
    try:
        yield started
    finally:
        started.stop()


class TestRunningCluster:
    @pytest.mark.slow
    def test_its_address_and_its_scheduler_file_lead_to_it_and_it_is_left_running(
        self, cluster: Cluster
    ) -> None:
        workers = [cluster.add_worker("--no-nanny") for _ in range(2)]
        for name in (cluster.address, str(cluster.file)):
            options = WorkerOptions(cluster=name)
            found = list(spread(square, range(20), options, label="x", attempts=3))
            assert sorted((item, result) for item, (result, _) in found) == [
                (n, n * n) for n in range(20)
            ]
            assert {pid for _, (_, pid) in found} <= {worker.pid for worker in workers}

    @pytest.mark.slow
    def test_a_worker_killed_in_the_middle_costs_only_its_items(self, cluster: Cluster) -> None:
        for _ in range(2):
            cluster.add_worker("--no-nanny")
        found: list[int] = []
        for item, pid in spread(dwell, range(30), cluster.options, label="x", attempts=3):
            found.append(item)
            if len(found) == 8:
                os.kill(pid, signal.SIGKILL)
        assert sorted(found) == list(range(30))

    @pytest.mark.slow
    def test_a_worker_that_joins_later_gets_work_too(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("geoseg.job.pool.CHECK_S", 0.2)
        first = cluster.add_worker("--no-nanny")
        results = spread(dwell, range(1000), cluster.options, label="x")
        assert next(results)[1] == first.pid
        second = cluster.add_worker("--no-nanny")
        assert second.pid in (pid for _, pid in results)
        results.close()

    @pytest.mark.slow
    def test_a_scheduler_that_dies_is_a_retry_and_not_a_wait_for_ever(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("geoseg.job.cluster.CONNECT_TIMEOUT_S", 10)
        cluster.add_worker("--no-nanny")
        results = spread(dwell, range(50), cluster.options, label="x")
        next(results)
        cluster.kill()
        with pytest.raises(RetryError, match="connection to the Dask scheduler was lost"):
            list(results)

    @pytest.mark.slow
    def test_workers_that_never_come_back_are_a_retry(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("geoseg.job.pool.STALL_S", 1.0)
        monkeypatch.setattr("geoseg.job.pool.CHECK_S", 0.2)
        cluster.add_worker("--no-nanny")
        results = spread(dwell, range(50), cluster.options, label="x", attempts=3)
        _, pid = next(results)
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(RetryError, match="no Dask worker is running; got none for"):
            list(results)

    def test_a_scheduler_without_workers_is_a_retry_that_says_how_to_start_one(
        self, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("geoseg.job.cluster.CONNECT_TIMEOUT_S", 1)
        with pytest.raises(RetryError, match=f"has no workers.*dask worker {cluster.address}"):
            list(spread(square, [1], cluster.options, label="x"))

    def test_workers_with_other_versions_are_refused_before_any_work(
        self, cluster: Cluster
    ) -> None:
        cluster.add_preloaded_worker(OTHER_VERSIONS)
        with pytest.raises(ConfigError) as caught:
            list(spread(square, [1], cluster.options, label="x"))
        message = str(caught.value)
        assert "workers have other versions than this process; got rasterio absent (here" in message
        assert "numpy 0.1 (here" in message
        assert "torch" not in message
        assert caught.value.exit_code == 2

    @pytest.mark.slow
    def test_a_worker_with_other_versions_that_joins_later_ends_the_work(
        self, cluster: Cluster
    ) -> None:
        cluster.add_worker("--no-nanny")
        results = spread(dwell, range(1000), cluster.options, label="x", attempts=3)
        next(results)
        cluster.add_preloaded_worker(OTHER_VERSIONS)
        with pytest.raises(
            ConfigError, match=r"other versions than this process; got rasterio absent"
        ):
            list(results)

    def test_workers_without_geoseg_are_refused(self, cluster: Cluster) -> None:
        cluster.add_preloaded_worker("import sys; sys.modules['geoseg'] = None")
        with pytest.raises(ConfigError, match="geoseg cannot be loaded"):
            list(spread(square, [1], cluster.options, label="x"))


OTHER_VERSIONS = """
import importlib.metadata as metadata

def version(name):
    if name == "rasterio":
        raise metadata.PackageNotFoundError(name)
    return "0.1" if name == "numpy" else metadata.distribution(name).version

metadata.version = version
"""


@pytest.mark.parametrize("text", [None, "", "{", "[]", '{"id": 1}'])
def test_what_is_no_scheduler_file_is_named(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "scheduler.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigError, match=r"scheduler\.json: is neither the address of a Dask"):
        list(spread(square, [1], WorkerOptions(cluster=str(path)), label="x"))
