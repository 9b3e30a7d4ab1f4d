"""Results in the order of the items, wherever they come from."""

from __future__ import annotations

import threading

from dask.system import CPU_COUNT

from geoseg.job import WorkerOptions, in_order

SLOTS = 2 * CPU_COUNT
"""Items that are with the cluster or wait here, together."""

begun: list[int] = []
released = threading.Event()


def square(number: int) -> int:
    return number * number


def late(number: int) -> int:
    """The first item takes until somebody releases it."""
    begun.append(number)
    if number == 0:
        assert released.wait(30)
    return number


def test_results_come_in_the_order_of_the_items() -> None:
    found = in_order(square, range(40), options=WorkerOptions(), label="x")
    assert list(found) == [number * number for number in range(40)]


def test_no_items_are_no_results() -> None:
    assert list(in_order(square, [], options=WorkerOptions(), label="x")) == []


def test_while_one_item_takes_long_few_others_are_begun() -> None:
    begun.clear()
    released.clear()
    found = in_order(late, range(100), options=WorkerOptions(), label="x")
    timer = threading.Timer(1.0, released.set)
    timer.start()
    first = next(found)
    ahead = len(begun)
    assert first == 0 and ahead <= SLOTS + 1
    assert [first, *found] == list(range(100))
    timer.join()
