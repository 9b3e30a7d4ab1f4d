"""Turns at computing, and what happens when memory runs out."""

import threading

import numpy as np
import pytest
import torch
from networks import spec_for
from torch import nn

from geoseg import grid
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.steps.predict.slots import Slots


def test_work_that_runs_out_of_memory_is_done_again_while_nobody_else_computes() -> None:
    slots, start, lock = Slots(3), threading.Barrier(3), threading.Lock()
    running, beside, answers = 0, [], []

    def work(greedy: bool) -> str:
        nonlocal running
        with lock:
            running += 1
            others = running - 1
        try:
            if greedy:
                beside.append(others)
                if len(beside) == 1:
                    raise MemoryError("a window does not fit")
            return "done"
        finally:
            with lock:
                running -= 1

    def thread(greedy: bool) -> None:
        start.wait()
        answers.extend(slots.run(lambda: work(greedy)) for _ in range(100))

    threads = [threading.Thread(target=thread, args=(greedy,)) for greedy in (True, False, False)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert answers == ["done"] * 300
    assert len(beside) == 101
    assert beside[1] == 0


def test_two_that_run_out_of_memory_at_once_do_not_wait_for_each_other() -> None:
    slots, meeting = Slots(2), threading.Barrier(2)
    failed: set[int] = set()
    answers: list[int] = []

    def work(number: int) -> int:
        if number not in failed:
            failed.add(number)
            meeting.wait()
            raise MemoryError("a window does not fit")
        return number

    threads = [
        threading.Thread(target=lambda n=n: answers.append(slots.run(lambda: work(n))))
        for n in range(2)
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join(timeout=30)
    assert sorted(answers) == [0, 1]


def test_what_does_not_fit_even_alone_is_an_error_and_the_slots_are_free_again() -> None:
    slots = Slots(2)

    def greedy() -> None:
        raise MemoryError("a window does not fit")

    with pytest.raises(MemoryError):
        slots.run(greedy)
    assert slots.run(lambda: 7) == 7


class Huge(nn.Module):
    """Asks for more memory than any machine has."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return torch.empty(1 << 58) + images


def test_torch_without_memory_is_a_memory_error() -> None:
    predictor = NetworkPredictor(Huge(), spec_for(("b1",)))
    pixels = np.zeros((1, 8, 12), np.uint16)
    with pytest.raises(MemoryError, match="a window does not fit"):
        predictor(pixels, np.ones((8, 12), bool), grid.whole((8, 12)))
