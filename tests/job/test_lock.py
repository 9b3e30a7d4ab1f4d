"""The lock of a run directory: one run at a time, and takeover from dead ones."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from job_runs import Work, finish

from geoseg.errors import OutputError
from geoseg.job.lock import Holder


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


class TestLock:
    def test_a_second_run_is_refused_with_the_pid_and_touches_nothing(self, work: Work) -> None:
        with work.open():
            held = work.lock.read_bytes()
            with pytest.raises(OutputError) as caught, work.open():
                pytest.fail("the folder was opened")
            assert f"got process {os.getpid()} on {socket.gethostname()}" in str(caught.value)
            assert work.lock.read_bytes() == held

    def test_the_lock_goes_with_the_run_however_it_ends(self, work: Work) -> None:
        with pytest.raises(KeyboardInterrupt), work.open():
            raise KeyboardInterrupt
        assert not work.lock.exists()

    def test_a_run_of_another_process_is_refused_and_taken_over_once_it_is_killed(
        self, work: Work
    ) -> None:
        code = (
            "import sys, time; from pathlib import Path; from geoseg.job import open_run\n"
            "with open_run('x', Path(sys.argv[1]), inputs={}, options={}, outputs=[]):\n"
            "    print('held', flush=True); time.sleep(60)"
        )
        with subprocess.Popen(
            [sys.executable, "-c", code, work.out], stdout=subprocess.PIPE, text=True
        ) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "held\n"
            with pytest.raises(OutputError, match=f"process {other.pid} on"), work.open():
                pytest.fail("the folder was opened")
            other.send_signal(signal.SIGKILL if os.name != "nt" else signal.SIGTERM)
            other.wait()
        assert work.lock.exists()
        with work.open() as run:
            finish(run)
        assert not work.lock.exists()

    def test_a_pid_that_was_given_to_a_later_process_is_stale(self, work: Work) -> None:
        self.leave_lock(work, since=1.0)
        with work.open() as run:
            assert run.done is None

    def test_a_start_time_that_jitters_by_a_second_is_still_the_same_process(
        self, work: Work
    ) -> None:
        """The kernel rounds the boot time, from which start times are counted, anew each time."""
        import psutil

        self.leave_lock(work, since=psutil.Process().create_time() + 1.0)
        with pytest.raises(OutputError, match="another run holds"), work.open():
            pytest.fail("the folder was opened")

    def test_a_lock_of_another_host_is_never_taken_over(self, work: Work) -> None:
        self.leave_lock(work, host="elsewhere", since=1.0)
        message = rf"process {os.getpid()} on elsewhere.*remove"
        with pytest.raises(OutputError, match=message), work.open():
            pytest.fail("the folder was opened")

    @pytest.mark.parametrize("text", ["", "{", "[]", "7", '{"host": "gone", "pid": 1, "beat": 0}'])
    def test_a_lock_nobody_can_read_is_respected(self, work: Work, text: str) -> None:
        work.out.mkdir()
        work.lock.write_text(text)
        message = r"another run holds.*\.lock if that run is dead"
        with pytest.raises(OutputError, match=message), work.open():
            pytest.fail("the folder was opened")
        assert work.lock.exists()

    def test_a_run_shows_that_it_lives(self, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("geoseg.job.lock.BEAT_S", 0.01)
        with work.open():
            self.age(work, 500)
            while work.lock.stat().st_mtime < time.time() - 100:
                time.sleep(0.01)
            with pytest.raises(OutputError, match="last heartbeat [0-9] s ago"), work.open():
                pytest.fail("the folder was opened")

    def test_a_run_that_was_suspended_keeps_its_lock(self, work: Work) -> None:
        self.leave_lock(work)
        self.age(work, 500)
        with pytest.raises(OutputError, match="last heartbeat 500 s ago"), work.open():
            pytest.fail("the folder was opened")

    def test_a_lock_of_another_host_is_not_taken_over_however_old(self, work: Work) -> None:
        self.leave_lock(work, host="elsewhere", boot="b")
        self.age(work, 90_000)
        with pytest.raises(OutputError, match="elsewhere, last heartbeat 90000 s"), work.open():
            pytest.fail("the folder was opened")

    def test_a_lock_from_before_a_restart_is_taken_over_once_it_is_quiet(self, work: Work) -> None:
        """Until then it may be that of another machine, or container, of the same name."""
        self.leave_lock(work, boot="an earlier one")
        with pytest.raises(OutputError, match="another run holds"), work.open():
            pytest.fail("the folder was opened")
        self.age(work, 61)
        with work.open() as run:
            assert run.done is None

    @pytest.mark.parametrize("text", ["", "{", '{"host": "here", "pi', "[]"])
    def test_a_lock_torn_by_a_kill_blocks_for_a_minute_only(self, work: Work, text: str) -> None:
        work.out.mkdir()
        work.lock.write_text(text)
        self.age(work, 59)
        with pytest.raises(OutputError, match="an unreadable lock file"), work.open():
            pytest.fail("the folder was opened")
        self.age(work, 61)
        with work.open() as run:
            finish(run)
        assert not work.lock.exists()

    def test_a_lock_that_another_run_has_now_is_left_to_it(self, work: Work) -> None:
        with work.open():
            work.lock.unlink()
            self.leave_lock(work)
            theirs = work.lock.read_bytes()
        assert work.lock.read_bytes() == theirs

    def test_a_killed_process_that_nobody_has_waited_for_is_gone(self, work: Work) -> None:
        import psutil

        with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
            since = psutil.Process(other.pid).create_time()
            other.kill()
            while psutil.Process(other.pid).status() != psutil.STATUS_ZOMBIE:
                time.sleep(0.01)
            self.leave_lock(work, pid=other.pid, since=since)
            with work.open() as run:
                assert run.done is None

    def test_a_file_system_where_files_have_one_name_will_do(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(path: Path, target: Path) -> None:
            raise OSError(errno.EPERM, "not here")

        monkeypatch.setattr(Path, "hardlink_to", refuse)
        with work.open() as run:
            with pytest.raises(OutputError, match="another run holds"), work.open():
                pytest.fail("the folder was opened")
            finish(run)
        assert sorted(p.name for p in work.out.iterdir()) == ["classes.tif", "run.json"]

    @pytest.mark.skipif(os.name == "nt", reason="forks")
    @pytest.mark.parametrize(
        "before",
        ["stale", *(pytest.param(each, marks=pytest.mark.slow) for each in ("nothing", "torn"))],
    )
    def test_of_twenty_that_start_at_once_one_proceeds(self, tmp_path: Path, before: str) -> None:
        command = [sys.executable, "-c", RACE, str(tmp_path), before]
        said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=300)
        assert said.stdout.split() == ["1"] * 10
        assert [path.name for path in tmp_path.rglob(".lock*")] == []

    @staticmethod
    def age(work: Work, seconds: float) -> None:
        """Let the lock look as if it had last been touched so long ago."""
        then = time.time() - seconds
        os.utime(work.lock, (then, then))

    @staticmethod
    def leave_lock(work: Work, **changes: Any) -> None:
        work.out.mkdir(exist_ok=True)
        holder = replace(Holder.here(), **changes)
        work.lock.write_text(json.dumps(asdict(holder)))


RACE = """
import json, multiprocessing, os, sys, time
from dataclasses import asdict, replace
from pathlib import Path
from geoseg.errors import OutputError
from geoseg.job.lock import Holder, lock

def start(folder, ready, tried, entered):
    ready.wait()
    try:
        with lock(folder):
            entered.put(1)
            tried.wait()
    except OutputError:
        tried.wait()

fork = multiprocessing.get_context("fork")
for number in range(10):
    folder = Path(sys.argv[1], str(number))
    folder.mkdir()
    gone = json.dumps(asdict(replace(Holder.here(), pid=2**22 - 7)))
    if sys.argv[2] != "nothing":
        (folder / ".lock").write_text(gone if sys.argv[2] == "stale" else gone[:20])
        os.utime(folder / ".lock", (1, 1))
    ready, tried, entered = fork.Barrier(20), fork.Barrier(20), fork.Queue()
    starters = [
        fork.Process(target=start, args=(folder, ready, tried, entered)) for _ in range(20)
    ]
    for each in starters:
        each.start()
    for each in starters:
        each.join()
        assert each.exitcode == 0
    entered.put(0)
    print(sum(iter(entered.get, 0)))
"""
