"""A Dask cluster as a user would have one: other processes, on loopback."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from pathlib import Path

from geoseg.job import WorkerOptions

HERE = Path(__file__).parent
"""Workers find the modules that tests find."""


class Cluster:
    """A Dask scheduler on loopback that leaves a scheduler file, and its workers."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "scheduler.json"
        self.options = WorkerOptions(cluster=str(self.file))
        self._processes = [self._start("scheduler", "--port", "0", "--scheduler-file", self.file)]
        while not (self.file.exists() and self.file.read_text().endswith("}")):
            threading.Event().wait(0.05)
        self.address = json.loads(self.file.read_text())["address"]

    def add_worker(self, *arguments: object) -> subprocess.Popen[bytes]:
        worker = self._start("worker", self.address, "--nthreads", "1", *arguments)
        self._processes.append(worker)
        return worker

    def add_preloaded_worker(self, code: str) -> None:
        script = self.file.with_name("preload.py")
        script.write_text(code)
        self.add_worker("--no-nanny", "--preload", script)

    def kill(self) -> None:
        self._processes[0].kill()

    def stop(self) -> None:
        for process in reversed(self._processes):
            process.kill()
            process.wait()

    def _start(self, what: str, *arguments: object) -> subprocess.Popen[bytes]:
        command = [
            sys.executable, "-m", f"distributed.cli.dask_{what}",
            "--host", "127.0.0.1", "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
            *map(str, arguments),
        ]  # fmt: skip
        return subprocess.Popen(
            command,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(map(str, (*sys.path, HERE)))},
            cwd=self.file.parent,
            stderr=subprocess.DEVNULL,
        )
