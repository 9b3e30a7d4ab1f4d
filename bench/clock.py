"""Comparable timings: candidates take turns, and the median of each counts."""

import time
from collections.abc import Callable, Iterator, Mapping
from statistics import median


def medians(candidates: Mapping[str, Callable[[], object]], *, rounds: int = 3) -> dict[str, float]:
    """Median seconds of each candidate; every round calls each once.

    Args:
        candidates: functions by name.
        rounds: number of calls of each.
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
    """Time the candidates in turn; yield a line each, with time per pixel relative to the first.

    Args:
        candidates: functions by name.
        megapixels: megapixels per call, by name if they differ.
        rounds: number of calls of each.
    """
    seconds = medians(candidates, rounds=rounds)
    rates = {
        name: (megapixels[name] if isinstance(megapixels, Mapping) else megapixels) / each
        for name, each in seconds.items()
    }
    first = next(iter(rates.values()))
    for name, rate in rates.items():
        yield f"{name:56} {rate:8.2f} Mpx/s   {first / rate:7.2f} x the time"
