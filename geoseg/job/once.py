"""Steps that make a few files: done once, and again only when something has changed."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.job.record import (
    Inputs,
    Record,
    describe_inputs,
    read_record,
    step_key,
    versions,
    write_record,
)

logger = logging.getLogger(__name__)


def once(
    step: str,
    record: Path,
    *,
    inputs: Inputs,
    options: Mapping[str, Any],
    outputs: Sequence[Path],
    work: Callable[[], object],
) -> None:
    """Call ``work``, unless its outputs are there and were made from these inputs and options.

    Args:
        step: the step's name.
        record: the file that records what the outputs were made from.
        inputs: files (or folders) that the outputs are made from, by role.
        options: everything else that they depend on, as JSON values.
        outputs: the files that ``work`` writes.
        work: writes them.

    Raises:
        OSError: an input or, after ``work``, an output cannot be read.
    """
    described = describe_inputs(inputs)
    names = [_relative(path, record.parent) for path in outputs]
    key = step_key(step, described, {**options, "outputs": names})
    known = read_record(record)
    if known and known.stands(record.parent, key):
        logger.info("%s: unchanged, skipped", ", ".join(map(str, outputs)))
        return
    started = time.monotonic()
    work()  # the record is written after it, so an interrupted step is done again
    seconds = round(time.monotonic() - started, 2)
    logger.info("%s: done in %.1f s", ", ".join(map(str, outputs)), seconds)
    write_record(
        record,
        Record(
            step=step,
            key=key,
            inputs=described,
            options=options,
            outputs=dict(zip(names, map(files.sha256, outputs), strict=True)),
            seconds=seconds,
            finished=datetime.now(UTC).isoformat(timespec="seconds"),
            versions=versions(),
        ),
    )


def _relative(path: Path, folder: Path) -> str:
    return path.resolve().relative_to(folder.resolve(), walk_up=True).as_posix()
