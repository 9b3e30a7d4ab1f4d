"""Runs that are killed, told to end, or run out of disk: nothing is wrong, nothing is lost.

GEOSEG_TRIALS and GEOSEG_DISKS say how many kills and how many sizes of a full disk are tried.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import asdict, dataclass, replace
from math import inf
from pathlib import Path
from typing import BinaryIO

import numpy as np
import psutil
import pytest
import victim
from conftest import MakeRaster
from networks import save_fcn, spec_for
from victim import ACROSS, MAPPED, REGION, REGIONS, Victim

from geoseg.files import sha256
from geoseg.job.lock import Holder, lock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor process groups"),
]
TRIALS = int(os.environ.get("GEOSEG_TRIALS", "6"))
DISKS = int(os.environ.get("GEOSEG_DISKS", "4"))
SEED = 20
LOOK_S = 0.02
ORPHANS_S = 30.0
HANG_S = 120.0
RECORD = "run.json"
WINDOWS = 4
"""Of a region."""

ENDS = (-signal.SIGKILL, 3)
"""How a run may end whose processes are killed: 3 where its workers died while they started."""


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


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed")
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


@pytest.fixture
def watch(tmp_path: Path, undisturbed: Undisturbed) -> Iterator[Watch]:
    """A run that has not begun, with a watch over it."""
    watch = Watch(Victim(undisturbed.scene, tmp_path / "map"), undisturbed)
    yield watch
    watch.close()


class TestKill:
    @pytest.mark.parametrize("number", range(TRIALS))
    def test_kills_at_any_moment_change_no_byte_and_lose_nothing_that_was_committed(
        self, watch: Watch, undisturbed: Undisturbed, number: int
    ) -> None:
        rng = np.random.default_rng([SEED, number])
        workers = 2 * (number % 2)
        watch.victim = replace(watch.victim, arguments=("--workers", str(workers)))
        killed: Counter[str] = Counter()
        with ExitStack() as started:
            process = started.enter_context(watch.victim.start())
            for _ in range(rng.integers(1, 4)):
                if process.poll() in ENDS:
                    process = started.enter_context(watch.victim.start())
                if watch.wait(process, rng.uniform(0, undisturbed.seconds[workers])):
                    break
                there = watch.workers_of(process)
                if there and rng.random() < 0.5:
                    there[rng.integers(len(there))].kill()
                    killed["worker"] += 1
                else:
                    process.kill()
                    process.wait()
                    killed["main"] += 1
                watch.check()
                watch.look()
            while watch.wait(process, inf) and process.returncode:
                assert process.returncode in ENDS, watch.victim.log()
                process = started.enter_context(watch.victim.start())
        watch.check_all()
        again = watch.victim.computed().total() - WINDOWS * MAPPED
        print(f"trial {number}: {workers} workers, killed {dict(killed)}, {again} windows again")

    def test_a_worker_of_a_cluster_killed_in_the_middle_changes_no_byte(
        self, watch: Watch, tmp_path: Path
    ) -> None:
        def dask(what: str, *arguments: str) -> subprocess.Popen[bytes]:
            command = [sys.executable, "-m", f"distributed.cli.dask_{what}", *arguments]
            return subprocess.Popen(
                [*command, "--host", "127.0.0.1", "--no-dashboard"], cwd=tmp_path,
                env=victim.ENVIRONMENT, stderr=subprocess.DEVNULL,
            )  # fmt: skip

        file = str(tmp_path / "scheduler.json")
        watch.victim = replace(watch.victim, arguments=("--cluster", file))
        started = [dask("scheduler", "--port", "0", "--scheduler-file", file)]
        try:
            for _ in range(2):
                arguments = ("--scheduler-file", file, "--nthreads", "1", "--no-nanny")
                started.append(dask("worker", *arguments))
            while not Path(file).exists():
                time.sleep(LOOK_S)
            with watch.victim.start() as process:
                while len(watch.settled) < REGIONS // 2:
                    assert not watch.wait(process, LOOK_S), watch.victim.log()
                started[1].kill()
                watch.wait(process, inf)
        finally:
            for each in started:
                each.kill()
                each.wait()
        assert process.returncode == 0, watch.victim.log()
        watch.check_all()

    def test_what_a_run_left_that_was_killed_over_its_lock_goes_with_the_next(
        self, tmp_path: Path
    ) -> None:
        gone = json.dumps(asdict(replace(Holder.here(), pid=2**22 - 7)))
        (tmp_path / ".lock.gone").write_text(gone)
        (tmp_path / ".lock.other").write_text(json.dumps(asdict(Holder.here())))
        with lock(tmp_path):
            assert sorted(path.name for path in tmp_path.iterdir()) == [".lock", ".lock.other"]


class TestSignal:
    @pytest.mark.parametrize("number", range(max(4, TRIALS // 2)))
    def test_a_run_that_is_told_to_end_does_and_goes_on_later(
        self, watch: Watch, undisturbed: Undisturbed, number: int
    ) -> None:
        """Control-C goes to the worker processes as well."""
        rng = np.random.default_rng([SEED, 1, number])
        workers = 2 * (number % 2)
        watch.victim = replace(watch.victim, arguments=("--workers", str(workers)))
        with watch.victim.start() as process:
            ended = watch.wait(process, rng.uniform(1, undisturbed.seconds[workers]))
            if not ended:
                watch.workers_of(process)
            begun = watch.victim.out.exists()
            start = time.monotonic()
            if number % 4 < 2:
                process.terminate()
            else:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(HANG_S)
            print(f"{number}: {process.returncode} after {time.monotonic() - start:.1f} s")
        if begun:
            assert process.returncode in (0, 143 if number % 4 < 2 else 130)
        watch.check()
        assert watch.victim.run() == 0
        assert undisturbed.is_in(watch.victim.out)
        assert psutil.wait_procs(watch.children, ORPHANS_S)[1] == []

    @pytest.fixture
    def heeded(self) -> Iterator[None]:
        """Shells start what they run in the background deaf to SIGINT, with all its children."""
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        yield
        signal.signal(signal.SIGINT, before)

    @pytest.mark.usefixtures("heeded")
    @pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
    def test_the_command_says_how_to_go_on(
        self, tmp_path: Path, make_raster: MakeRaster, name: str, code: int
    ) -> None:
        rng = np.random.default_rng(5)
        pixels = rng.integers(200, 2000, (3, 1100, 1300), dtype=np.uint16)
        scene = make_raster(tmp_path / "scene.tif", pixels, nodata=0)
        model = save_fcn(tmp_path / "model", spec_for(("b1", "b2", "b3")))

        def start(out: str) -> subprocess.Popen[str]:
            command = [sys.executable, "-m", "geoseg", "predict", scene, "--model", model]
            flags = ["--engine", "torch", "--precision", "fp32", "--window", "128"]
            return subprocess.Popen(
                [*command, "-o", tmp_path / out, *flags], stderr=subprocess.PIPE, text=True
            )

        with start("undisturbed") as process:
            assert process.wait() == 0
        with start("map") as process:
            while not any(path.stat().st_size for path in tmp_path.glob("map/.work-*/*.jsonl")):
                assert process.poll() is None
                time.sleep(LOOK_S)
            process.send_signal(signal.Signals[name])
            _, said = process.communicate(timeout=HANG_S)
        assert process.returncode == code
        assert said == "geoseg: interrupted; run the same command again to resume\n"
        with start("map") as process:
            _, said = process.communicate()
        assert "regions are done" in said
        for file in ("classes.tif", "confidence.tif"):
            assert sha256(tmp_path / "map" / file) == sha256(tmp_path / "undisturbed" / file)


class TestTwoAtOnce:
    def test_the_second_is_refused_with_the_pid_and_host_of_the_first(self, watch: Watch) -> None:
        second = replace(watch.victim, name="second")
        with watch.victim.start() as first:
            while not watch.settled:
                assert not watch.wait(first, LOOK_S)
            first.send_signal(signal.SIGSTOP)  # it could be done before the second has begun
            code = second.run()
            first.send_signal(signal.SIGCONT)
            watch.wait(first, inf)
        assert code == 2
        assert f"process {first.pid} on {socket.gethostname()}" in second.log()
        assert first.returncode == 0
        watch.check_all()

    def test_of_four_that_start_at_once_one_proceeds(
        self, watch: Watch, undisturbed: Undisturbed
    ) -> None:
        slow = replace(watch.victim, arguments=("--pause", "0.05"))
        runs = [replace(slow, name=str(number)) for number in range(4)]
        started = [each.start() for each in runs]
        codes = [each.wait() for each in started]
        assert sorted(codes) == [0, 2, 2, 2]
        (first,) = (each.pid for each in started if each.returncode == 0)
        refused = [each.log() for each, code in zip(runs, codes, strict=True) if code]
        assert all(f"process {first} on {socket.gethostname()}" in said for said in refused)
        assert watch.victim.computed().total() == WINDOWS * MAPPED
        assert undisturbed.is_in(watch.victim.out)


@dataclass(frozen=True)
class Disk:
    """A small file system in memory.

    Attributes:
        path: where it is mounted.
    """

    path: Path

    def mount(self) -> None:
        self._call("mount", "-t", "tmpfs", "geoseg-test", str(self.path))

    def resize(self, size: int) -> None:
        """Let the file system hold so many bytes, which may be all in use."""
        self._call("mount", "-o", f"remount,size={size}", str(self.path))

    def used(self) -> int:
        return shutil.disk_usage(self.path).used

    def unmount(self) -> None:
        self._call("umount", "-l", str(self.path))

    @staticmethod
    def _call(*command: str) -> None:
        subprocess.run(command, check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    (tmp_path / "map").mkdir()
    disk = Disk(tmp_path / "map")
    try:
        disk.mount()
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("this user may not mount file systems")
    yield disk
    disk.unmount()


@pytest.fixture(scope="module")
def earlier(undisturbed: Undisturbed, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A complete map of the same scene with other values."""
    out = tmp_path_factory.mktemp("earlier") / "map"
    assert Victim(undisturbed.scene, out, ("--fingerprint", "of an earlier predictor")).run() == 0
    return out


class TestFullDisk:
    @pytest.mark.parametrize("share", np.linspace(0.01, 1, DISKS))
    def test_the_earlier_map_stays_and_the_run_goes_on_once_there_is_room(
        self, watch: Watch, undisturbed: Undisturbed, earlier: Path, disk: Disk, share: float
    ) -> None:
        shutil.copytree(earlier, disk.path, dirs_exist_ok=True)
        before = {path.name: sha256(path) for path in earlier.iterdir()}
        assert before["classes.tif"] != undisturbed.finals["classes.tif"]
        disk.resize(disk.used() + int(share * undisturbed.need))
        with watch.victim.start() as process:
            watch.wait(process, inf)
        said = watch.victim.log()
        print(f"{share:.0%}: {process.returncode}, {said}")
        if process.returncode:
            assert process.returncode == 3
            last = said.splitlines()[-1]
            assert last.startswith("geoseg: RetryError: ")
            assert "free some space" in last or "check free space" in last
            there = {path.name: sha256(path) for path in disk.path.iterdir() if path.is_file()}
            assert there == before
        else:
            assert undisturbed.is_in(disk.path)
        disk.resize(disk.used() + 3 * undisturbed.need)
        with watch.victim.start() as process:
            watch.wait(process, inf)
        assert process.returncode == 0, watch.victim.log()
        watch.check_all()
