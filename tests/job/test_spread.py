"""Work spread over Dask: results, errors and clusters."""

from __future__ import annotations

import multiprocessing
import os
from functools import partial
from pathlib import Path

import pytest
from distributed import LocalCluster

from geoseg.errors import ConfigError, GeosegError, RasterError, RetryError
from geoseg.job import WorkerOptions, spread


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def fail_at(bad: int, number: int) -> int:
    if number == bad:
        raise RasterError("is broken", where=Path("a.tif"), got=number, fix="mend it")
    return number


def miss(number: int) -> int:
    raise FileNotFoundError(number)


def die(number: int) -> None:
    os._exit(1)


class TestSpread:
    @pytest.mark.slow
    @pytest.mark.parametrize("workers", [0, 2])
    def test_every_item_comes_back_once_with_its_result(self, workers: int) -> None:
        items = list(range(50))
        options = WorkerOptions(workers=workers)
        found = list(spread(square, items, options, label="squares", threads=2))
        assert sorted(item for item, _ in found) == items
        assert all(result == item * item for item, (result, _) in found)
        pids = {pid for _, (_, pid) in found}
        assert (pids == {os.getpid()}) if workers == 0 else (os.getpid() not in pids)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_an_error_comes_through_as_it_was_raised(self, workers: int) -> None:
        with pytest.raises(RasterError) as caught:
            list(
                spread(
                    partial(fail_at, 7),
                    range(20),
                    WorkerOptions(workers=workers),
                    label="x",
                    threads=1,
                )
            )
        assert str(caught.value) == "a.tif: is broken; got 7. Next: mend it"
        assert isinstance(caught.value, GeosegError)

    def test_nothing_to_do_starts_no_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("geoseg.job.pool._cluster", None)
        assert list(spread(square, [], WorkerOptions(), label="x")) == []

    def test_equal_items_are_each_done(self) -> None:
        assert len(list(spread(square, [3] * 12, WorkerOptions(), label="x", threads=2))) == 12

    def test_stopping_early_leaves_no_cluster_behind(self) -> None:
        for _ in spread(square, range(20), WorkerOptions(workers=1), label="x"):
            break
        assert multiprocessing.active_children() == []

    def test_a_cluster_of_the_user_is_used_and_left_running(self) -> None:
        with LocalCluster(
            n_workers=1, processes=False, dashboard_address="127.0.0.1:0", protocol="tcp://",
            host="127.0.0.1",
        ) as cluster:  # fmt: skip
            options = WorkerOptions(cluster=cluster.scheduler_address)
            assert len(list(spread(square, range(9), options, label="x"))) == 9
            with pytest.raises(FileNotFoundError):
                list(spread(miss, [1], options, label="x"))
            assert len(list(spread(square, range(9), options, label="x"))) == 9

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x:1"])
    def test_a_cluster_that_is_not_there_is_named(
        self, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setattr("geoseg.job.cluster.CONNECT_TIMEOUT_S", 0.5)
        with pytest.raises(ConfigError, match=f"{address}: no Dask scheduler answers"):
            list(spread(square, [1], WorkerOptions(cluster=address), label="x"))

    @pytest.mark.slow
    def test_workers_that_die_are_a_retry_that_names_the_item(self) -> None:
        with pytest.raises(RetryError, match=r"the worker processes died.*got 5"):
            list(spread(die, [5], WorkerOptions(workers=1), label="x"))
