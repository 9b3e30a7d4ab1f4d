"""Timing that can be compared: the candidates take turns, and the best of each counts."""

import time
from collections.abc import Callable, Iterator, Mapping


def ratios(
    candidates: Mapping[str, Callable[[], object]], *, megapixels: float, rounds: int = 3
) -> Iterator[str]:
    """Time the candidates in turn; yield a line each, with the ratio to the first one.

    Args:
        candidates: what to call, by name.
        megapixels: how much each call handles.
        rounds: how often each is called.
    """
    best = dict.fromkeys(candidates, float("inf"))
    for _ in range(rounds):
        for name, work in candidates.items():
            start = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - start)
    first = next(iter(best.values()))
    for name, seconds in best.items():
        yield f"{name:44} {megapixels / seconds:8.1f} Mpx/s   {seconds / first:6.2f} x the time"
