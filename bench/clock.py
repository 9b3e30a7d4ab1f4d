"""Timing that can be compared: the candidates take turns, and the median of each counts."""

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median


def medians(candidates: Mapping[str, Callable[[], object]], *, rounds: int = 3) -> dict[str, float]:
    """Median seconds of each candidate; all are called once in every round.

    Args:
        candidates: what to call, by name.
        rounds: how often each is called.
    """
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, work in candidates.items():
            start = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - start)
    return {name: median(each) for name, each in seconds.items()}


def ratios(
    candidates: Mapping[str, Callable[[], object]],
    *,
    megapixels: float | Mapping[str, float],
    rounds: int = 3,
) -> Iterator[str]:
    """Time the candidates in turn; yield a line each, with the time per pixel as of the first.

    Args:
        candidates: what to call, by name.
        megapixels: how much each call handles; by name where they differ.
        rounds: how often each is called.
    """
    seconds = medians(candidates, rounds=rounds)
    rates = {
        name: (megapixels[name] if isinstance(megapixels, Mapping) else megapixels) / each
        for name, each in seconds.items()
    }
    first = next(iter(rates.values()))
    for name, rate in rates.items():
        yield f"{name:56} {rate:8.2f} Mpx/s   {first / rate:7.2f} x the time"
