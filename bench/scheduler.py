"""Cost of scheduling up to 100 000 regions, with a predictor that only sleeps."""

import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.child import Outcome, call
from geoseg.job import Ledger, WorkerOptions, spread

COUNTS = {0.0: (1_000, 10_000, 100_000), 2.0: (1_000, 10_000)}
"""How many regions, by how many milliseconds each one sleeps."""

ROUNDS = {1_000: 3, 10_000: 3, 100_000: 1}
TEAMS = {"in this process, 2 threads": 0, "2 worker processes": 2}
THREADS = 2
LINES = 1_000
FACTS = {"mapped": 1, "skipped": 0, "unchanged": 0, "pixels": dict.fromkeys(range(8), 131072)}
DIGEST = "0" * 64


def run(folder: Path) -> Iterator[str]:
    """Cost per region, and the memory of the process that drives and schedules."""
    yield f"{'':28} {'sleep':>6} {'regions':>8} {'wall less sleep':>16} {'CPU':>10} {'RSS':>10}"
    for sleep_ms, counts in COUNTS.items():
        for team, workers in TEAMS.items():
            for count in counts:
                wall, cpu, peak = _measure(count, workers, sleep_ms)
                yield (
                    f"{team:28} {sleep_ms:3.0f} ms {count:8d} {wall:13.0f} us {cpu:7.0f} us "
                    f"{peak:7.0f} MB"
                )
    yield _ledger(folder)


def nap(item: tuple[int, float]) -> tuple[str, dict[str, object]]:
    """Task of a worker: sleep, and return as much as a region would."""
    time.sleep(item[1])
    return DIGEST, FACTS


def hand_out(count: int, workers: int, sleep_s: float) -> tuple[float, float]:
    """Wall and CPU seconds of this process from the first result to the last."""
    options = WorkerOptions(workers=workers)
    items = ((number, sleep_s) for number in range(count))
    results = spread(nap, items, options, label="sleeping", total=count, threads=THREADS)
    next(results)  # the cluster is up
    start, cpu = time.perf_counter(), time.process_time()
    deque(results, maxlen=0)
    return time.perf_counter() - start, time.process_time() - cpu


def _measure(count: int, workers: int, sleep_ms: float) -> tuple[float, float, float]:
    """Microseconds per region (wall time without sleep, and CPU time), and megabytes."""
    done: list[Outcome] = [
        call(hand_out, count=count, workers=workers, sleep_s=sleep_ms / 1000)
        for _ in range(ROUNDS[count])
    ]
    wall = 1e6 * median(each.value[0] for each in done) / count
    cpu = 1e6 * median(each.value[1] for each in done) / count
    peak = median(each.peak_mb for each in done)
    return wall - 1000 * sleep_ms / (workers or THREADS), cpu, peak


def _ledger(folder: Path) -> str:
    """Cost of recording a finished region so that it survives a power cut."""
    ledger = Ledger(folder)
    start = time.perf_counter()
    for number in range(LINES):
        ledger.add(f"{number}-{number}-1024x1024.tif", DIGEST, {**FACTS, "content": DIGEST[:32]})
    cost = 1e6 * (time.perf_counter() - start) / LINES
    size = sum(path.stat().st_size for path in folder.iterdir()) / LINES
    return f"a line of the ledger, flushed to the disk: {cost:.0f} us, {size:.0f} bytes"
