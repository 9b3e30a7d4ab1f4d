"""Run directories: keys, records, finished work and work that goes on."""

from __future__ import annotations

import json
import os
import shutil
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from job_runs import Work, commit, finish

from geoseg.errors import OutputError, RasterError, RetryError
from geoseg.job import RunOptions, describe_inputs, open_run, read_record, step_key, write_record


class TestKey:
    def test_it_changes_with_bytes_options_and_step_and_not_with_the_place(
        self, tmp_path: Path
    ) -> None:
        for name, data in (("a", b"1"), ("b", b"1"), ("c", b"2")):
            (tmp_path / name).write_bytes(data)
        a, b, c = (describe_inputs({"scene": [tmp_path / name]}) for name in "abc")
        key = step_key("predict", a, {"halo": 64})
        assert key == step_key("predict", b, {"halo": 64})
        others = {
            step_key("predict", c, {"halo": 64}),
            step_key("predict", a, {"halo": 32}),
            step_key("train", a, {"halo": 64}),
            step_key("predict", a + c, {"halo": 64}),
        }
        assert len(others | {key}) == 5

    def test_it_tells_what_the_same_files_are_to_the_step(self, tmp_path: Path) -> None:
        a, b = tmp_path / "a", tmp_path / "b"
        a.write_bytes(b"1")
        b.write_bytes(b"2")
        roles = (
            {"scene 1": [a, b]},
            {"scene 1": [a], "scene 2": [b]},
            {"scene 1": [a], "labels": [b]},
            {"scene 1": [b], "labels": [a]},
        )
        assert len({step_key("tile", describe_inputs(each), {}) for each in roles}) == 4

    def test_a_folder_stands_for_the_files_in_it(self, tmp_path: Path) -> None:
        (tmp_path / "deep").mkdir()
        (tmp_path / "deep" / "b").write_bytes(b"22")
        (tmp_path / "a").write_bytes(b"1")
        found = describe_inputs({"chips": [tmp_path]})
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


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return Work(tmp_path)


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
            open_run(
                "x", work.out, inputs={"scene": [work.out / ".." / "map"]}, options={}, outputs=[]
            ),
        ):
            pytest.fail("the folder was opened")

    def test_a_file_where_the_folder_shall_be_is_refused(self, work: Work) -> None:
        work.out.touch()
        with pytest.raises(OutputError, match="map: cannot be made"), work.open():
            pytest.fail("the folder was opened")


class TestFilesOfOthers:
    def test_files_that_no_run_made_are_not_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "classes.yaml").write_text("mine")
        for overwrite in (False, True):
            with (
                pytest.raises(OutputError, match=r"did not write; got classes\.yaml\. Next: move"),
                open_run(
                    "predict", tmp_path, inputs={}, options={},
                    outputs=["classes.tif", "classes.yaml"], overwrite=overwrite,
                ),
            ):  # fmt: skip
                pass
        assert (tmp_path / "classes.yaml").read_text() == "mine"

    def test_outputs_of_an_earlier_run_are(self, tmp_path: Path) -> None:
        for content in ("one", "two"):
            with open_run(
                "predict", tmp_path, inputs={}, options={"content": content}, outputs=["a.txt"]
            ) as run:
                (tmp_path / "a.txt").write_text(content)
                run.finish()
        assert (tmp_path / "a.txt").read_text() == "two"

    def test_the_folder_of_another_step_is_left_alone(self, tmp_path: Path) -> None:
        with open_run("tile", tmp_path, inputs={}, options={}, outputs=["chips.json"]) as run:
            (tmp_path / "chips.json").write_text("{}")
            run.finish()
        with (
            pytest.raises(OutputError, match="holds the output of geoseg tile; got|of geoseg tile"),
            open_run("predict", tmp_path, inputs={}, options={}, outputs=["classes.tif"]),
        ):
            pass
        assert json.loads((tmp_path / "run.json").read_text())["step"] == "tile"
