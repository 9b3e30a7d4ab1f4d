"""A run directory seen by those who only watch: what has landed, and whether a run goes on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from geoseg import files
from geoseg.grid import Window
from geoseg.job import Ledger, RunView, open_run, view_run
from geoseg.layout import map_part

LEFT, RIGHT = Window(0, 0, 512, 512), Window(0, 512, 512, 88)


def land(ledger: Ledger, *windows: Window) -> None:
    """Parts with one byte each."""
    for window in windows:
        name = map_part(window)
        ledger.add(name, files.write_bytes(ledger.folder / name, b"p"), {})


def views(folder: Path) -> list[RunView]:
    """A run of two parts, seen before it begins, at its begin, after each part, and at its end."""
    seen = [view_run(folder)]
    with open_run("predict", folder, inputs={}, options={}, outputs=["classes.tif"]) as run:
        seen.append(view_run(folder))
        ledger = run.ledger()
        for window in (RIGHT, LEFT):
            land(ledger, window)
            seen.append(view_run(folder))
        files.write_bytes(folder / "classes.tif", b"map")
        run.finish()
    return [*seen, view_run(folder)]


def test_a_run_is_seen_from_its_begin_to_its_end(tmp_path: Path) -> None:
    before, begun, one, two, after = views(tmp_path / "map")
    assert [each.held for each in (before, begun, one, two, after)] == [
        False,
        True,
        True,
        True,
        False,
    ]
    assert [len(each.parts) for each in (before, begun, one, two, after)] == [0, 0, 1, 2, 0]
    assert [each.finished for each in (before, begun, one, two, after)] == [False] * 4 + [True]


def test_parts_come_in_the_order_in_which_they_landed(tmp_path: Path) -> None:
    two = views(tmp_path)[3]
    assert list(two.parts.items()) == [("0-512-512x88.tif", RIGHT), ("0-0-512x512.tif", LEFT)]


def test_the_key_is_that_of_the_unfinished_run(tmp_path: Path) -> None:
    with open_run("predict", tmp_path, inputs={}, options={}, outputs=[]) as run:
        run.ledger()
        assert view_run(tmp_path).key == run.key[:16]
        assert view_run(tmp_path).work == run.work
    assert view_run(tmp_path / "nowhere").key == ""


def test_of_two_interrupted_runs_the_latest_is_seen(tmp_path: Path) -> None:
    land(Ledger(tmp_path / ".work-aa"), LEFT)
    land(Ledger(tmp_path / ".work-bb"), LEFT, RIGHT)
    (tmp_path / ".work-cc").mkdir()  # killed before it had a ledger
    os.utime(tmp_path / ".work-bb" / "ledger.jsonl", (1000, 1000))
    assert view_run(tmp_path).key == "aa"


def test_an_earlier_map_does_not_make_a_new_run_finished(tmp_path: Path) -> None:
    views(tmp_path)
    land(Ledger(tmp_path / ".work-aa"), LEFT)
    seen = view_run(tmp_path)
    assert (seen.recorded, seen.finished) == (True, False)


def test_torn_lines_and_files_that_are_no_raster_parts_are_passed_over(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / ".work-aa")
    land(ledger, LEFT)
    ledger.add("chips-0.npz", "0" * 64, {})
    with (ledger.folder / "ledger.jsonl").open("ab") as stream:
        stream.write(b'\n0badf00d {"name": "0-512-512x88.tif"')
    assert list(view_run(tmp_path).parts) == ["0-0-512x512.tif"]


@pytest.mark.parametrize(("quiet_s", "held"), [(0, True), (50, True), (70, False)])
def test_a_lock_without_a_heartbeat_for_a_minute_is_not_held(
    tmp_path: Path, quiet_s: int, held: bool
) -> None:
    lock = tmp_path / ".lock"
    lock.touch()
    at = lock.stat().st_mtime - quiet_s
    os.utime(lock, (at, at))
    assert view_run(tmp_path).held is held


def test_looking_changes_nothing(tmp_path: Path) -> None:
    land(Ledger(tmp_path / ".work-aa"), LEFT)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    view_run(tmp_path)
    view_run(tmp_path / "nowhere")
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_that_ends_while_it_is_looked_at_has_no_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = tmp_path / ".work-aa"
    land(Ledger(work), LEFT)
    found = Path.glob

    def gone(self: Path, pattern: str) -> list[Path]:
        listed = list(found(self, pattern))
        shutil.rmtree(work)
        return listed

    monkeypatch.setattr(Path, "glob", gone)
    assert view_run(tmp_path) == RunView(tmp_path, None, {}, held=False, recorded=False)
