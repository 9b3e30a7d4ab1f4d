"""Runs watched from outside while they are killed or run out of disk."""

from __future__ import annotations

import json
import subprocess
import time
import zlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import psutil
import victim
from victim import ACROSS, MAPPED, REGION, REGIONS, Victim

from geoseg.files import sha256

LOOK_S = 0.02
ORPHANS_S = 30.0
RECORD = "run.json"
WINDOWS = 4
"""Of a region."""


@dataclass(frozen=True)
class Undisturbed:
    """What a run leaves that nobody disturbs.

    Attributes:
        scene: what it maps.
        finals: sha256 by name of what it leaves, but for the record.
        outputs: what the record says of that.
        seconds: how long it takes, by number of workers.
        need: bytes on the disk at its worst.
    """

    scene: Path
    finals: Mapping[str, str]
    outputs: Mapping[str, str]
    seconds: Mapping[int, float]
    need: int

    def wrong(self, out: Path) -> list[str]:
        """Names of files in ``out`` that are there and are not what they have to be."""
        there = [name for name in self.finals if (out / name).exists()]
        wrong = [name for name in there if sha256(out / name) != self.finals[name]]
        if (out / RECORD).exists() and outputs_of(out) != self.outputs:
            wrong.append(RECORD)
        return wrong

    def is_in(self, out: Path) -> bool:
        """Whether ``out`` holds all of this and nothing else."""
        return {path.name for path in out.iterdir()} == {*self.finals, RECORD} and not self.wrong(
            out
        )


def outputs_of(out: Path) -> Mapping[str, str]:
    outputs: dict[str, str] = json.loads((out / RECORD).read_bytes())["outputs"]
    return outputs


def size_of(folder: Path) -> int:
    """Bytes of the files in a folder that others write to and remove from."""
    size = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            size += path.stat().st_size
    return size


def run_undisturbed(folder: Path) -> Undisturbed:
    """Map the scene in one process and with two workers; both leave the same."""
    scene = victim.write_scene(folder / "scene.tif")
    seconds: dict[int, float] = {}
    finals = []
    need = 0
    for workers in (0, 2):
        each = Victim(scene, folder / str(workers), ("--workers", str(workers)))
        start = time.monotonic()
        with each.start() as process:
            while process.poll() is None:
                need = max(need, size_of(each.out))
                time.sleep(LOOK_S)
        seconds[workers] = time.monotonic() - start
        assert process.returncode == 0, each.log()
        assert list(each.computed().values()) == MAPPED * [WINDOWS]
        names = sorted({path.name for path in each.out.iterdir()} - {RECORD})
        finals.append({name: sha256(each.out / name) for name in names})
    assert finals[0] == finals[1]
    return Undisturbed(scene, finals[0], outputs_of(each.out), seconds, need)


class Watch:
    """Looks at a run from outside: its ledger, its journal, and what stands under final names.

    Args:
        victim: the run.
        undisturbed: what it has to leave.
    """

    def __init__(self, victim: Victim, undisturbed: Undisturbed) -> None:
        self.victim, self._undisturbed = victim, undisturbed
        self.settled: dict[int, int] = {}
        self.children: set[psutil.Process] = set()
        self._ledger: BinaryIO | None = None

    def look(self) -> None:
        """Take note of regions that are committed, and how often they were computed by then."""
        committed = {region_of(name) for name in self.names()}
        if new := committed - self.settled.keys():
            computed = self.victim.computed()
            self.settled |= {region: computed[region] for region in new}

    def names(self) -> list[str]:
        """The lines of the ledger whose checksum is right; also once the run has removed it."""
        if self._ledger is None:
            for path in self.victim.out.glob(".work-*/ledger.jsonl"):
                self._ledger = path.open("rb")
        if self._ledger is None:
            return []
        self._ledger.seek(0)
        lines = (line.strip().partition(b" ") for line in self._ledger)
        return [
            json.loads(text)["name"]
            for crc, _, text in lines
            if crc == f"{zlib.crc32(text):08x}".encode()
        ]

    def wait(self, process: subprocess.Popen[bytes], seconds: float) -> bool:
        """Look on for so long; whether the process has ended by then."""
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            ended = process.poll() is not None
            self.look()
            if ended:
                return True
            time.sleep(LOOK_S)
        return False

    def check(self) -> None:
        """What stands under a final name is the right file, and whole."""
        assert self._undisturbed.wrong(self.victim.out) == []

    def workers_of(self, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
        """The worker processes of a run, which is alive."""
        found = psutil.Process(process.pid).children(recursive=True)
        self.children.update(found)
        return [each for each in found if is_worker(each)]

    def check_all(self) -> None:
        """At the end: all bytes are right, and nothing was done twice or is left behind."""
        assert self._undisturbed.is_in(self.victim.out), sorted(self.victim.out.iterdir())
        names = self.names()
        assert len(names) == len(set(names)) == REGIONS
        computed = self.victim.computed()
        assert len(computed) == MAPPED
        again = {region: computed[region] - n for region, n in self.settled.items()}
        assert [region for region, n in again.items() if n] == []
        assert psutil.wait_procs(self.children, ORPHANS_S)[1] == []
        assert "Traceback" not in self.victim.log()

    def close(self) -> None:
        if self._ledger:
            self._ledger.close()


def region_of(name: str) -> int:
    """1 for 0-0-512x512.tif."""
    row, col, _ = name.split("-")
    return 1 + int(row) // REGION * ACROSS + int(col) // REGION


def is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:
        return False
