"""Run functions in fresh processes and measure their peak memory."""

import importlib
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Outcome:
    """Result of a process.

    Attributes:
        value: the function's return value, as JSON.
        seconds: wall time of the process, including interpreter start and imports.
        peak_mb: peak resident memory in MB.
    """

    value: Any
    seconds: float
    peak_mb: float


def call(function: Callable[..., Any], /, **arguments: Any) -> Outcome:
    """Call a module-level function in a separate process; arguments and result are JSON."""
    name = f"{function.__module__}:{function.__qualname__}"
    start = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-m", "bench.child", name, json.dumps(arguments)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    seconds = time.perf_counter() - start
    answer = json.loads(done.stdout.splitlines()[-1])
    return Outcome(answer["value"], seconds, answer["peak_mb"])


def peak_mb() -> float:
    """Peak resident memory of this process in MB, without that of its parent."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Call the function named on the command line; print result and memory as one line of JSON."""
    module, _, name = sys.argv[1].partition(":")
    value = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps({"value": value, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
