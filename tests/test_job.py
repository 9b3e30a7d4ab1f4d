"""Run directories that survive kills, and work spread over Dask."""

from __future__ import annotations

import json
import multiprocessing
import os
import signal
import socket
import subprocess
import sys
import zlib
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import LocalCluster

from geoseg import files
from geoseg.errors import ConfigError, GeosegError, OutputError, RasterError, RetryError
from geoseg.job import (
    Ledger,
    Run,
    WorkerOptions,
    describe_inputs,
    open_run,
    read_record,
    spread,
    step_key,
    write_record,
)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "work")


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

    def test_the_last_entry_of_a_name_counts(self, ledger: Ledger) -> None:
        commit(ledger, "a.tif", b"one", try_=1)
        commit(ledger, "a.tif", b"two", try_=2)
        assert ledger.parts() == {"a.tif": {"try_": 2}}

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

    def open(self, **options: Any) -> Any:
        return open_run(
            "predict", self.out, inputs=[self.input], options=options, outputs=["classes.tif"]
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
        message = r"another run holds.*\.lock if it is gone"
        with pytest.raises(OutputError, match=message), work.open():
            pytest.fail("the folder was opened")
        assert work.lock.exists()

    @staticmethod
    def leave_lock(work: Work, **changes: Any) -> None:
        work.out.mkdir()
        lock = {"host": socket.gethostname(), "pid": os.getpid(), "since": 0.0} | changes
        work.lock.write_text(json.dumps(lock))


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
        monkeypatch.setattr("geoseg.job.pool._client", None)
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
        monkeypatch.setattr("geoseg.job.pool.CONNECT_TIMEOUT_S", 0.5)
        with pytest.raises(ConfigError, match=f"{address}: no Dask scheduler answers"):
            list(spread(square, [1], WorkerOptions(cluster=address), label="x"))

    def test_workers_that_die_are_a_retry_that_names_the_item(self) -> None:
        with (
            dask.config.set({"distributed.scheduler.allowed-failures": 0}),
            pytest.raises(RetryError, match=r"the worker processes died.*got 5"),
        ):
            list(spread(die, [5], WorkerOptions(workers=1), label="x"))
