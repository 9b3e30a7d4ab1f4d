"""Runs that are killed or told to end: nothing is wrong, nothing is lost.

GEOSEG_TRIALS sets how many kills are tried.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, replace
from math import inf
from pathlib import Path

import numpy as np
import psutil
import pytest
import victim
from networks import save_fcn, spec_for
from small_scene import MakeRaster
from victim import MAPPED, REGIONS, Victim
from watched_runs import LOOK_S, ORPHANS_S, WINDOWS, Undisturbed, Watch, run_undisturbed

from geoseg.files import sha256
from geoseg.job.lock import Holder, lock

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor process groups"),
]
TRIALS = int(os.environ.get("GEOSEG_TRIALS", "2"))
SEED = 20
HANG_S = 120.0
ENDS = (-signal.SIGKILL, 3)
"""How a run may end whose processes are killed: 3 where its workers died while they started."""


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return run_undisturbed(tmp_path_factory.mktemp("undisturbed"))


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
                [
                    *command, "--host", "127.0.0.1",
                    "--no-dashboard", "--dashboard-address", "127.0.0.1:0",
                ],
                cwd=tmp_path, env=victim.ENVIRONMENT, stderr=subprocess.DEVNULL,
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
    @pytest.mark.parametrize("number", range(max(2, TRIALS // 2)))
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

    @pytest.fixture(scope="class")
    @classmethod
    def mapped(cls, tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
        """A folder with scene.tif, model and the map that nobody disturbed."""
        folder = tmp_path_factory.mktemp("signals")
        rng = np.random.default_rng(5)
        pixels = rng.integers(200, 2000, (3, 1100, 1300), dtype=np.uint16)
        make_raster(folder / "scene.tif", pixels, nodata=0)
        save_fcn(folder / "model", spec_for(("b1", "b2", "b3")))
        with predict(folder, folder / "map") as process:
            assert process.wait() == 0
        return folder

    @pytest.mark.usefixtures("heeded")
    @pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130)])
    def test_the_command_says_how_to_go_on(
        self, tmp_path: Path, mapped: Path, name: str, code: int
    ) -> None:
        out = tmp_path / "map"
        with predict(mapped, out) as process:
            while not any(path.stat().st_size for path in out.glob(".work-*/*.jsonl")):
                assert process.poll() is None
                time.sleep(LOOK_S)
            process.send_signal(signal.Signals[name])
            _, said = process.communicate(timeout=HANG_S)
        assert process.returncode == code
        assert said == "geoseg: interrupted; run the same command again to resume\n"
        with predict(mapped, out) as process:
            _, said = process.communicate()
        assert "regions are done" in said
        for file in ("classes.tif", "confidence.tif"):
            assert sha256(out / file) == sha256(mapped / "map" / file)


def predict(folder: Path, out: Path) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "geoseg", "predict", folder / "scene.tif", "-o", out]
    flags = ["--engine", "torch", "--precision", "fp32", "--window", "128"]
    return subprocess.Popen(
        [*command, "--model", folder / "model", *flags], stderr=subprocess.PIPE, text=True
    )


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
