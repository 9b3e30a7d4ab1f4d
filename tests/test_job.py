"""Run directories that survive kills, and work spread over Dask."""

from __future__ import annotations

import errno
import json
import multiprocessing
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import zlib
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from distributed import LocalCluster

from geoseg import files
from geoseg.errors import ConfigError, GeosegError, OutputError, RasterError, RetryError
from geoseg.job import (
    Ledger,
    Run,
    RunOptions,
    WorkerOptions,
    describe_inputs,
    open_run,
    read_record,
    spread,
    step_key,
    write_record,
)
from geoseg.job.lock import Holder


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "work")


SHA_ONE = "7692c3ad3540"
"""sha256sum of the bytes of "one"."""

SHA_TWO = "3fc4ccfe7458"
"""sha256sum of the bytes of "two"."""


def commit(ledger: Ledger, name: str, data: bytes = b"pixels", **facts: Any) -> None:
    ledger.add(name, files.write_bytes(ledger.folder / name, data), facts)


class TestLedger:
    def test_a_new_one_is_empty(self, ledger: Ledger) -> None:
        assert ledger.parts() == {}

    def test_parts_come_back_with_their_facts_in_a_later_process(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", valid=12)
        commit(ledger, "ü b.tif", note="line\u2028break\n")
        again = Ledger(ledger.folder).parts()
        assert again == {"a.tif": {"valid": 12}, "ü b.tif": {"note": "line\u2028break\n"}}

    def test_the_same_part_twice_is_recorded_once(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one", try_=1)
        commit(ledger, "a.tif", b"one", try_=2)
        commit(Ledger(ledger.folder), "a.tif", b"one", try_=3)
        assert ledger.parts() == {"a.tif": {"try_": 1}}
        assert (ledger.folder / "ledger.jsonl").read_text().count("a.tif") == 1

    @pytest.mark.parametrize("known", ["in memory", "in the file", "from parts()"])
    def test_a_part_that_comes_out_differently_is_named_and_never_the_last_one_wins(
        self, ledger: Ledger, known: str
    ) -> None:
        commit(ledger, "a.tif", b"one")
        if known != "in memory":
            ledger = Ledger(ledger.folder)
        if known == "from parts()":
            assert set(ledger.parts()) == {"a.tif"}
        message = rf"a\.tif: the same part came out differently.*got {SHA_TWO}; wanted {SHA_ONE}"
        with pytest.raises(RetryError, match=message):
            commit(ledger, "a.tif", b"two")
        assert (ledger.folder / "ledger.jsonl").read_text().count("a.tif") == 1

    def test_a_ledger_with_two_hashes_of_one_part_is_not_believed(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one")
        line = (ledger.folder / "ledger.jsonl").read_bytes()
        (ledger.folder / "ledger.jsonl").write_bytes(b"")
        commit(Ledger(ledger.folder), "a.tif", b"two")
        with (ledger.folder / "ledger.jsonl").open("ab") as stream:
            stream.write(line)
        for use in (Ledger.parts, partial(commit, name="b.tif")):
            with pytest.raises(RetryError, match=r"a\.tif: the same part came out differently"):
                use(Ledger(ledger.folder))

    def test_a_damaged_part_that_is_made_again_counts_again(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one")
        (ledger.folder / "a.tif").write_bytes(b"onf")
        assert ledger.parts() == {}
        commit(ledger, "a.tif", b"one")
        assert set(ledger.parts()) == {"a.tif"}

    def test_a_line_torn_at_any_byte_loses_that_part_alone(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif")
        path = ledger.folder / "ledger.jsonl"
        first = path.stat().st_size
        commit(ledger, "b.tif")
        everything = path.read_bytes()
        for end in (*range(first, len(everything), 9), len(everything) - 1):
            path.write_bytes(everything[:end])
            assert set(ledger.parts()) == {"a.tif"}
            commit(ledger, "c.tif")
            assert set(ledger.parts()) == {"a.tif", "c.tif"}

    def test_a_flipped_bit_in_the_ledger_loses_that_part_alone(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif")
        commit(ledger, "b.tif")
        path = ledger.folder / "ledger.jsonl"
        data = bytearray(path.read_bytes())
        data[data.index(b'"b.tif"') + 1] ^= 1
        path.write_bytes(data)
        assert set(ledger.parts()) == {"a.tif"}

    def test_bytes_that_are_no_text_are_passed_over(self, ledger: Ledger) -> None:
        with (ledger.folder / "ledger.jsonl").open("ab") as stream:
            stream.write(b"\n\xff\xfe\x00 {]")
        commit(ledger, "a.tif")
        assert set(ledger.parts()) == {"a.tif"}

    @pytest.mark.parametrize("damage", ["flipped", "cut", "gone", "a folder"])
    def test_a_part_that_is_not_what_was_recorded_is_not_there(
        self, ledger: Ledger, damage: str
    ) -> None:
        commit(ledger, "a.tif")
        commit(ledger, "b.tif", b"other pixels")
        part = ledger.folder / "b.tif"
        part.unlink()
        if damage == "flipped":
            part.write_bytes(b"other qixels")
        if damage == "cut":
            part.write_bytes(b"other pix")
        if damage == "a folder":
            part.mkdir()
        assert set(ledger.parts()) == {"a.tif"}

    def test_a_line_is_checksum_and_json(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif")
        blank, line = (ledger.folder / "ledger.jsonl").read_text().split("\n")
        checksum, _, text = line.partition(" ")
        assert blank == ""
        assert int(checksum, 16) == zlib.crc32(text.encode())
        assert json.loads(text)["name"] == "a.tif"


class TestKey:
    def test_it_changes_with_bytes_options_and_step_and_not_with_the_place(
        self, tmp_path: Path
    ) -> None:
        for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
            (tmp_path / name).write_bytes(data)
        a, b, c = (describe_inputs([tmp_path / name]) for name in "abc")
        key = step_key("predict", a, {"halo": 64})
        assert key == step_key("predict", b, {"halo": 64})
        others = {
            step_key("predict", c, {"halo": 64}),
            step_key("predict", a, {"halo": 32}),
            step_key("train", a, {"halo": 64}),
            step_key("predict", a + c, {"halo": 64}),
        }
        assert len(others | {key}) == 5

    def test_a_folder_stands_for_the_files_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "b").write_bytes(b"22")
        (tmp_path / "a").write_bytes(b"1")
        found = describe_inputs([tmp_path])
        assert [(Path(each["path"]).name, each["bytes"]) for each in found] == [("a", 1), ("b", 2)]


class TestRecord:
    def test_what_is_no_record_reads_as_none(self, tmp_path: Path) -> None:
        path = tmp_path / "run.json"
        assert read_record(path) is None
        for text in ("", "{", "[]", "null", '{"step": "x"}', '{"unknown": 1}'):
            path.write_text(text)
            assert read_record(path) is None

    def test_it_comes_back_from_its_file(self, tmp_path: Path, work: Work) -> None:
        with work.open() as run:
            record = finish(run)
        write_record(tmp_path / "copy.json", record)
        assert read_record(tmp_path / "copy.json") == record
        assert record.versions["python"] == sys.version.split()[0]
        assert record.finished.endswith("+00:00")

    def test_a_record_with_other_fields_replaced_is_another_record(self, work: Work) -> None:
        with work.open() as run:
            record = finish(run)
        assert not replace(record, key="other").stands(work.out, record.key)
        assert record.stands(work.out, record.key)


class Work:
    """An input file and an output folder."""

    def __init__(self, folder: Path) -> None:
        self.input, self.out = folder / "scene.tif", folder / "map"
        self.input.write_bytes(b"scene")

    def open(self, *, overwrite: bool = False, **options: Any) -> Any:
        return open_run(
            "predict",
            self.out,
            inputs=[self.input],
            options=options,
            outputs=["classes.tif"],
            overwrite=overwrite,
        )

    @property
    def lock(self) -> Path:
        return self.out / ".lock"


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


def finish(run: Run, data: bytes = b"map") -> Any:
    (run.folder / "classes.tif").write_bytes(data)
    run.counts["regions"] = 4
    return run.finish()


class TestRun:
    def test_a_first_run_is_not_done_and_the_same_again_is(self, work: Work) -> None:
        with work.open(halo=64) as run:
            assert run.done is None
            record = finish(run)
        with work.open(halo=64) as run:
            assert run.done == record
            assert run.done.counts == {"regions": 4}

    def test_a_changed_option_is_another_key_and_not_done(self, work: Work) -> None:
        with work.open(halo=64) as run:
            finish(run)
            key = run.key
        with work.open(halo=32) as run:
            assert run.done is None
            assert run.key != key
            assert run.work.name != f".work-{key[:16]}"

    def test_a_changed_input_is_another_key_and_not_done(self, work: Work) -> None:
        with work.open() as run:
            finish(run)
        stamp = work.input.stat()
        work.input.write_bytes(b"scenf")
        os.utime(work.input, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))
        with work.open() as run:
            assert run.done is None

    @pytest.mark.parametrize("data", [b"mop", b"", None])
    def test_an_output_that_was_changed_or_removed_is_not_done(
        self, work: Work, data: bytes | None
    ) -> None:
        with work.open() as run:
            finish(run)
        (work.out / "classes.tif").unlink()
        if data is not None:
            (work.out / "classes.tif").write_bytes(data)
        with work.open() as run:
            assert run.done is None

    def test_parts_of_one_key_are_never_those_of_another(self, work: Work) -> None:
        with work.open(halo=64) as run:
            commit(run.ledger(), "a.tif")
        with work.open(halo=32) as run:
            assert run.ledger().parts() == {}
        with work.open(halo=64) as run:
            assert set(run.ledger().parts()) == {"a.tif"}

    def test_finishing_removes_the_parts_of_every_key(self, work: Work) -> None:
        for halo in (64, 32):
            with work.open(halo=halo) as run:
                commit(run.ledger(), "a.tif")
        with work.open(halo=32) as run:
            finish(run)
        assert sorted(p.name for p in work.out.iterdir()) == ["classes.tif", "run.json"]

    def test_overwriting_does_finished_work_again_and_keeps_the_old_until_then(
        self, work: Work
    ) -> None:
        with work.open() as run:
            finish(run, b"old")
        for halo in (64, 32):
            with work.open(halo=halo) as run:
                commit(run.ledger(), "a.tif")
        with work.open(overwrite=RunOptions(overwrite=True).overwrite) as run:
            assert run.done is None
            assert sorted(p.name for p in work.out.iterdir()) == [
                ".lock", "classes.tif", "run.json",
            ]  # fmt: skip
            assert (work.out / "classes.tif").read_bytes() == b"old"
            finish(run, b"new")
        with work.open() as run:
            assert run.done is not None
            assert (work.out / "classes.tif").read_bytes() == b"new"

    def test_what_a_killed_run_was_writing_goes_when_the_next_begins(self, work: Work) -> None:
        work.out.mkdir()
        for name in (".classes.0123abcd.part.tif", ".run.0123abcd.part.json", ".mine.part.tif"):
            (work.out / name).touch()
        with work.open():
            assert sorted(p.name for p in work.out.iterdir()) == [".lock", ".mine.part.tif"]

    def test_a_run_asks_for_three_tenths_more_room_than_it_needs(
        self, work: Work, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=130_000_000))
        with work.open() as run:
            run.require_space(100_000_000)
            message = "map: the disk has too little room; got 130 MB free; wanted 156 MB"
            with pytest.raises(RetryError, match=message):
                run.require_space(120_000_000)

    @pytest.mark.parametrize("how", ["a part is recorded", "a file is written", "an error of ours"])
    def test_a_folder_that_is_removed_while_the_run_goes_on_is_said_in_a_line(
        self, work: Work, how: str
    ) -> None:
        def run() -> None:
            with work.open() as run:
                ledger = run.ledger()
                shutil.rmtree(work.out)
                if how == "a part is recorded":
                    commit(ledger, "a.tif")
                if how == "a file is written":
                    finish(run)
                raise RasterError("is broken", where=run.work / "a.tif")

        with pytest.raises(RetryError, match="was removed during the run"):
            run()
        assert not work.lock.exists()

    def test_an_output_that_is_an_input_is_refused(self, work: Work) -> None:
        work.out.mkdir()
        with (
            pytest.raises(OutputError, match="the output is one of the inputs"),
            open_run("x", work.out, inputs=[work.out / ".." / "map"], options={}, outputs=[]),
        ):
            pytest.fail("the folder was opened")

    def test_a_file_where_the_folder_shall_be_is_refused(self, work: Work) -> None:
        work.out.touch()
        with pytest.raises(OutputError, match="map: cannot be made"), work.open():
            pytest.fail("the folder was opened")


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
            "with open_run('x', Path(sys.argv[1]), inputs=[], options={}, outputs=[]):\n"
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


def square(number: int) -> tuple[int, int]:
    return number * number, os.getpid()


def fail_at(bad: int, number: int) -> int:
    if number == bad:
        raise RasterError("is broken", where=Path("a.tif"), got=number, fix="mend it")
    return number


def miss(number: int) -> int:
    raise FileNotFoundError(number)


def die(number: int) -> None:
    os._exit(1)


class TestSpread:
    @pytest.mark.parametrize("workers", [0, 2])
    def test_every_item_comes_back_once_with_its_result(self, workers: int) -> None:
        items = list(range(50))
        options = WorkerOptions(workers=workers)
        found = list(spread(square, items, options, label="squares", threads=2))
        assert sorted(item for item, _ in found) == items
        assert all(result == item * item for item, (result, _) in found)
        pids = {pid for _, (_, pid) in found}
        assert (pids == {os.getpid()}) if workers == 0 else (os.getpid() not in pids)

    @pytest.mark.parametrize("workers", [0, 1])
    def test_an_error_comes_through_as_it_was_raised(self, workers: int) -> None:
        with pytest.raises(RasterError) as caught:
            list(
                spread(
                    partial(fail_at, 7),
                    range(20),
                    WorkerOptions(workers=workers),
                    label="x",
                    threads=1,
                )
            )
        assert str(caught.value) == "a.tif: is broken; got 7. Next: mend it"
        assert isinstance(caught.value, GeosegError)

    def test_nothing_to_do_starts_no_cluster(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("geoseg.job.pool._cluster", None)
        assert list(spread(square, [], WorkerOptions(), label="x")) == []

    def test_equal_items_are_each_done(self) -> None:
        assert len(list(spread(square, [3] * 12, WorkerOptions(), label="x", threads=2))) == 12

    def test_stopping_early_leaves_no_cluster_behind(self) -> None:
        for _ in spread(square, range(20), WorkerOptions(workers=1), label="x"):
            break
        assert multiprocessing.active_children() == []

    def test_a_cluster_of_the_user_is_used_and_left_running(self) -> None:
        with LocalCluster(
            n_workers=1, processes=False, dashboard_address=None, protocol="tcp://",
            host="127.0.0.1",
        ) as cluster:  # fmt: skip
            options = WorkerOptions(cluster=cluster.scheduler_address)
            assert len(list(spread(square, range(9), options, label="x"))) == 9
            with pytest.raises(FileNotFoundError):
                list(spread(miss, [1], options, label="x"))
            assert len(list(spread(square, range(9), options, label="x"))) == 9

    @pytest.mark.parametrize("address", ["tcp://127.0.0.1:9", "nonsense://x:1"])
    def test_a_cluster_that_is_not_there_is_named(
        self, monkeypatch: pytest.MonkeyPatch, address: str
    ) -> None:
        monkeypatch.setattr("geoseg.job.cluster.CONNECT_TIMEOUT_S", 0.5)
        with pytest.raises(ConfigError, match=f"{address}: no Dask scheduler answers"):
            list(spread(square, [1], WorkerOptions(cluster=address), label="x"))

    @pytest.mark.slow
    def test_workers_that_die_are_a_retry_that_names_the_item(self) -> None:
        with pytest.raises(RetryError, match=r"the worker processes died.*got 5"):
            list(spread(die, [5], WorkerOptions(workers=1), label="x"))
