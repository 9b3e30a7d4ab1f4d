"""A step's output directory: one run at a time, resumable, unchanged work skipped."""

from __future__ import annotations

import json
import logging
import os
import socket
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil

from geoseg import files
from geoseg.errors import OutputError
from geoseg.job.ledger import Ledger
from geoseg.job.record import (
    Record,
    describe_inputs,
    read_record,
    step_key,
    versions,
    write_record,
)

logger = logging.getLogger(__name__)
RECORD = "run.json"
LOCK = ".lock"
WORK = ".work-"
CLOCK_SLACK_S = 2.0


@dataclass
class Run:
    """A run of a step into its output directory.

    Attributes:
        step: the step's name.
        folder: the output directory.
        key: hash of inputs, options and version; parts of another key are never used.
        inputs: path, size and sha256 of each input.
        options: the resolved options.
        outputs: names of the files a finished run leaves, relative to the folder.
        done: the record of a finished run with this key whose outputs are all in place, or None.
        counts: what was done and what was skipped; the step fills it.
    """

    step: str
    folder: Path
    key: str
    inputs: list[dict[str, Any]]
    options: Mapping[str, Any]
    outputs: Sequence[str]
    done: Record | None
    counts: dict[str, Any] = field(default_factory=dict)
    _started: float = field(default_factory=time.monotonic)

    @property
    def work(self) -> Path:
        """The directory for parts of this key; it goes when the run is finished."""
        return self.folder / f"{WORK}{self.key[:16]}"

    def ledger(self) -> Ledger:
        """The ledger of this key's parts."""
        return Ledger(self.work)

    def finish(self) -> Record:
        """Write run.json over the outputs and remove all parts."""
        record = Record(
            step=self.step,
            key=self.key,
            inputs=self.inputs,
            options=self.options,
            outputs={name: files.sha256(self.folder / name) for name in self.outputs},
            counts=self.counts,
            seconds=round(time.monotonic() - self._started, 2),
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
        )
        write_record(self.folder / RECORD, record)
        logger.info("%s: done in %.1f s", self.folder, record.seconds)
        for leftover in self.folder.glob(f"{WORK}*"):
            files.remove(leftover)
        return record


@contextmanager
def open_run(
    step: str,
    folder: Path,
    *,
    inputs: Iterable[Path],
    options: Mapping[str, Any],
    outputs: Sequence[str],
) -> Iterator[Run]:
    """Open an output directory for one run of a step.

    Args:
        step: the step's name.
        folder: the output directory; made if need be.
        inputs: the files (or folders) the result is made from.
        options: everything else it is made from, as JSON values.
        outputs: names of the files the run will leave, relative to the folder.

    Raises:
        OutputError: the folder cannot be written, is an input, or another run holds it.
    """
    paths = list(inputs)
    taken = {folder.resolve(), *((folder / name).resolve() for name in outputs)}
    for path in paths:
        if path.resolve() in taken:
            raise OutputError(
                "the output is one of the inputs", where=path, fix="choose another -o"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("cannot be made", where=folder, got=error.strerror) from error
    with _lock(folder):
        described = describe_inputs(paths)
        key = step_key(step, described, options)
        record = read_record(folder / RECORD)
        done = record if record and record.stands(folder, key) else None
        if done:
            logger.info("%s: unchanged, skipped", folder)
        yield Run(step, folder, key, described, options, outputs, done)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    path = folder / LOCK
    mine = json.dumps(
        {"host": socket.gethostname(), "pid": os.getpid(), "since": _born(os.getpid())}
    )
    for _ in range(2):
        try:
            with path.open("x", encoding="utf-8") as stream:
                stream.write(mine)
            break
        except FileExistsError:
            _clear_if_stale(path)
        except OSError as error:
            path.unlink(missing_ok=True)
            raise OutputError("cannot be written", where=folder, got=error.strerror) from error
    else:
        raise OutputError("another run has just taken it", where=folder, fix="wait for it")
    try:
        yield
    finally:
        path.unlink(missing_ok=True)


def _clear_if_stale(path: Path) -> None:
    """Remove the lock of a process of this host that is gone; refuse otherwise."""
    try:
        holder = json.loads(path.read_text(encoding="utf-8"))
        host, pid, since = holder["host"], int(holder["pid"]), float(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        host, pid, since = "an unknown host", 0, 0.0
    if host == socket.gethostname() and not _lives(pid, since):
        logger.info("%s: took over from process %d, which is gone", path.parent, pid)
        path.unlink(missing_ok=True)
        return
    raise OutputError(
        "another run holds this output",
        where=path.parent,
        got=f"process {pid} on {host}",
        fix=f"wait for it, or remove {path} if it is gone",
    )


def _lives(pid: int, since: float) -> bool:
    """Whether the process that took the lock is there, not a later one with its number.

    Start times are counted from the boot time, which the kernel rounds anew whenever it is asked.
    """
    born = _born(pid)
    return born is not None and abs(born - since) < CLOCK_SLACK_S


def _born(pid: int) -> float | None:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.Error:
        return None
