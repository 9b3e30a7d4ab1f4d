"""Functions in fresh processes, and how much memory each one took at its worst."""

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
    """What a process did.

    Attributes:
        value: what the function returned, as JSON knows it.
        seconds: wall time of the process, interpreter and imports included.
        peak_mb: the most memory that was resident at once.
    """

    value: Any
    seconds: float
    peak_mb: float


def call(function: Callable[..., Any], /, **arguments: Any) -> Outcome:
    """Call a module-level function in a process of its own; arguments and result are JSON."""
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
    """The most memory this process has had resident, without that of the one it was forked from."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Call what the command line names; print its result and the memory as one line of JSON."""
    module, _, name = sys.argv[1].partition(":")
    value = getattr(importlib.import_module(module), name)(**json.loads(sys.argv[2]))
    print(json.dumps({"value": value, "peak_mb": peak_mb()}))


if __name__ == "__main__":
    main()
