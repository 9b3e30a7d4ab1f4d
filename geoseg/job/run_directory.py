"""A step's output directory: one run at a time, resumable, unchanged work skipped."""

from __future__ import annotations

import logging
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.errors import GeosegError, OutputError, RetryError
from geoseg.job.ledger import Ledger
from geoseg.job.lock import lock
from geoseg.job.record import (
    Inputs,
    Record,
    describe_inputs,
    read_record,
    step_key,
    versions,
    write_record,
)
from geoseg.layout import RECORD, work_folder, work_folders
from geoseg.options import Options

logger = logging.getLogger(__name__)
SPARE = 1.3
"""The disk must have this many times the room that a run needs: estimates err, and others write."""


class RunOptions(Options):
    """How a run treats existing outputs; shared by every step that writes a directory."""

    overwrite: bool = False
    """Start again: ignore what an earlier run left."""


@dataclass
class Run:
    """A run of a step into its output directory.

    Attributes:
        step: the step's name.
        folder: the output directory.
        key: hash of inputs, options and version; parts with another key are never used.
        inputs: path, size and sha256 of each input.
        options: the resolved options.
        outputs: names of the files that a finished run leaves, relative to the folder.
        done: the record of a finished run with this key whose outputs are all in place, or None.
        counts: what was done and what was skipped, by name; the step fills it.
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
        """The directory for parts with this key; removed when the run is finished."""
        return work_folder(self.folder, self.key)

    def ledger(self) -> Ledger:
        """The ledger of the parts with this key; opening it makes the directory."""
        return Ledger(self.work)

    def require_space(self, needed: int) -> None:
        """Check that the disk has room for what the run will write.

        Args:
            needed: bytes that the run will write, at most.

        Raises:
            RetryError: less than 1.3 times that is free.
        """
        free = shutil.disk_usage(self.folder).free
        if free < SPARE * needed:
            raise RetryError(
                "the disk has too little room",
                where=self.folder,
                got=f"{free / 1e6:.0f} MB free",
                wanted=f"{SPARE * needed / 1e6:.0f} MB",
                fix="free some space and run the same command again",
            )

    def finish(self) -> Record:
        """Hash the outputs, write run.json and remove all parts.

        The record comes last: a run that is killed before it is not done, whatever files it left.

        Raises:
            OSError: an output is missing.
            RetryError: the disk is full.
        """
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
        _remove_parts(self.folder)
        return record


@contextmanager
def open_run(
    step: str,
    folder: Path,
    *,
    inputs: Inputs,
    options: Mapping[str, Any],
    outputs: Sequence[str],
    overwrite: bool = False,
) -> Iterator[Run]:
    """Open an output directory for one run of a step.

    Args:
        step: the step's name.
        folder: the output directory; made if need be.
        inputs: the files (or folders) that the result is made from, by role.
        options: everything else that it depends on, as JSON values.
        outputs: names of the files that the run will leave, relative to the folder.
        overwrite: whether to do everything again; outputs stay until new ones replace them.

    Raises:
        OutputError: the folder cannot be written, is an input, holds files of those names that no
            run made, or the output of another step, or another run holds it.
        RetryError: the folder was removed during the run.
    """
    inputs = {role: list(places) for role, places in inputs.items()}
    taken = {folder.resolve(), *((folder / name).resolve() for name in outputs)}
    for path in chain.from_iterable(inputs.values()):
        if isinstance(path, Path) and path.resolve() in taken:
            raise OutputError(
                "the output is one of the inputs", where=path, fix="choose another -o"
            )
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError("cannot be made", where=folder, got=error.strerror) from error
    with lock(folder) as held:
        # Inputs are hashed under the lock, so that two runs never work on one key side by side.
        _refuse_foreign(step, folder, outputs)
        for name in (RECORD, *outputs):
            files.clear_leftovers(folder / name)
        if overwrite:
            _remove_parts(folder)
        described = describe_inputs(inputs)
        key = step_key(step, described, options)
        record = None if overwrite else read_record(folder / RECORD)
        done = record if record and record.stands(folder, key) else None
        if done:
            _remove_parts(folder)  # a kill may have come between the record and this
            logger.info("%s: unchanged, skipped", folder)
        try:
            yield Run(step, folder, key, described, options, outputs, done)
        except (OSError, GeosegError) as error:
            # Where the lock is gone, so is the folder: that is the cause, whatever failed first.
            if held.stands():
                raise
            raise RetryError(
                "was removed during the run",
                where=folder,
                fix="run the same command again",
            ) from error


def _refuse_foreign(step: str, folder: Path, outputs: Sequence[str]) -> None:
    """Refuse to replace what an earlier run of the step has not made."""
    record = read_record(folder / RECORD)
    if record is None and any(work_folders(folder)):
        return  # a run that ended between its outputs and its record
    ours = set(record.outputs) if record else set()
    if record and record.step != step and not ours <= set(outputs):
        raise OutputError(
            f"holds the output of geoseg {record.step}", where=folder, fix="choose another -o"
        )
    foreign = [name for name in outputs if name not in ours and (folder / name).exists()]
    if foreign:
        raise OutputError(
            "holds files that geoseg did not write",
            where=folder,
            got=", ".join(foreign),
            fix="move them away, or choose another -o",
        )


def _remove_parts(folder: Path) -> None:
    for leftover in work_folders(folder):
        files.remove(leftover)
