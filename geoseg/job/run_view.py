"""The state of a run directory, for those who watch: nothing is written, nothing is locked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from geoseg.grid import Window
from geoseg.job.ledger import entries
from geoseg.job.lock import has_heartbeat
from geoseg.layout import LEDGER, RECORD, map_part_area, work_folders


@dataclass(frozen=True)
class RunView:
    """The state of a run directory at one moment.

    Attributes:
        folder: the run directory.
        work: the directory of the parts of the unfinished run; None where no run left any.
        parts: the pixels of each raster part recorded in its ledger, by file name, in the order
            in which they landed. The files may be gone by now: a run that finishes removes them.
        held: whether a run holds the directory and keeps its heartbeat.
        recorded: whether a finished run left its record, maybe an earlier one.
    """

    folder: Path
    work: Path | None
    parts: Mapping[str, Window]
    held: bool
    recorded: bool

    @property
    def key(self) -> str:
        """The first 16 digits of the unfinished run's key; empty where there is none."""
        return self.work.name.rpartition("-")[2] if self.work else ""

    @property
    def finished(self) -> bool:
        """Whether the last run came to its end."""
        return self.work is None and self.recorded


def view_run(folder: Path) -> RunView:
    """Look at a run directory while a run may be writing to it.

    Args:
        folder: the run directory; one that does not exist has neither parts nor a record.
    """
    work = _latest_work(folder)
    return RunView(
        folder,
        work,
        _parts(work) if work else {},
        held=has_heartbeat(folder),
        recorded=(folder / RECORD).is_file(),
    )


def _latest_work(folder: Path) -> Path | None:
    """Runs of other keys may have been interrupted too; the latest is the one to watch."""
    written: dict[Path, float] = {}
    for work in work_folders(folder):
        try:
            written[work] = (work / LEDGER).stat().st_mtime
        except OSError:  # it has no ledger yet, or the run has just finished and removed it
            continue
    return max(written, key=lambda work: written[work], default=None)


def _parts(work: Path) -> dict[str, Window]:
    try:
        found = [(entry["name"], map_part_area(entry["name"])) for entry in entries(work / LEDGER)]
    except OSError:
        return {}
    return {name: window for name, window in found if window}
