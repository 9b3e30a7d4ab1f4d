"""Files that appear whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from geoseg import files
from geoseg.errors import OutputError, RetryError
from geoseg.job import Ledger


def begin_and_fail(final: Path, error: BaseException | type[BaseException]) -> None:
    """Write half of a file, or of a folder where one stands, and raise."""
    with files.whole(final) as temporary:
        if final.is_dir():
            temporary.mkdir()
            (temporary / "new.npy").touch()
        else:
            temporary.write_bytes(b"half")
        raise error


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_final_name_appears_only_when_the_block_is_done(tmp_path: Path) -> None:
    final = tmp_path / "deep" / "map.tif"
    with files.whole(final) as temporary:
        temporary.write_bytes(b"new")
        assert not final.exists()
        assert temporary.parent == final.parent
        assert temporary.suffix == ".tif"
    assert final.read_bytes() == b"new"
    assert names(final.parent) == ["map.tif"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, OSError])
def test_an_exception_leaves_the_old_file_and_nothing_else(
    tmp_path: Path, error: type[BaseException]
) -> None:
    final = tmp_path / "map.tif"
    final.write_bytes(b"old")
    with pytest.raises(error):
        begin_and_fail(final, error)
    assert final.read_bytes() == b"old"
    assert names(tmp_path) == ["map.tif"]


def test_a_directory_replaces_a_directory_with_none_of_its_old_files(tmp_path: Path) -> None:
    final = tmp_path / "chips"
    final.mkdir()
    (final / "old.npy").touch()
    with files.whole(final) as temporary:
        temporary.mkdir()
        (temporary / "new.npy").touch()
    assert names(final) == ["new.npy"]
    assert names(tmp_path) == ["chips"]


def test_a_directory_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    final = tmp_path / "chips"
    final.mkdir()
    (final / "old.npy").touch()
    with pytest.raises(ValueError):
        begin_and_fail(final, ValueError)
    assert names(final) == ["old.npy"]
    assert names(tmp_path) == ["chips"]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG])
def test_a_full_disk_says_how_much_is_free_and_to_run_again(tmp_path: Path, number: int) -> None:
    final = tmp_path / "map.tif"
    with pytest.raises(RetryError, match=r"map\.tif: the disk is full; got \d+ MB free"):
        begin_and_fail(final, OSError(number, os.strerror(number)))
    assert names(tmp_path) == []


FILL = """
import resource, sys
from pathlib import Path
from geoseg import files
from geoseg.errors import RetryError
from geoseg.job import Ledger

folder = Path(sys.argv[1])
ledger = Ledger(folder)
ledger.add("a", "00", {})
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]), resource.RLIM_INFINITY))
for write in (
    lambda: files.write_bytes(folder / "map.tif", bytes(5000)),
    lambda: ledger.add("b", "11", {"note": 5000 * "n"}),
):
    try:
        write()
    except RetryError as error:
        print(error.what)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such limit")
@pytest.mark.parametrize("limit", [0, 1, 100, 4096, 4999])
def test_a_disk_that_fills_up_at_any_byte_costs_only_what_is_being_written(
    tmp_path: Path, limit: int
) -> None:
    (tmp_path / "map.tif").write_bytes(b"old")
    command = [sys.executable, "-c", FILL, str(tmp_path), str(limit)]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert said == "the disk is full\nthe disk is full\n"
    assert (tmp_path / "map.tif").read_bytes() == b"old"
    assert names(tmp_path) == ["ledger.jsonl", "map.tif"]
    ledger = Ledger(tmp_path)
    ledger.add("c", "22", {})
    recorded = (tmp_path / "ledger.jsonl").read_bytes()
    assert (b'"a"' in recorded, b'"c"' in recorded) == (True, True)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    place = tmp_path / "small"
    place.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)]
    try:
        mounted = subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        mounted = False
    if not mounted:
        pytest.skip("mounting takes root")
    try:
        yield place
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_file_system_keeps_the_old_file_and_takes_the_new_one_once_there_is_room(
    small_disk: Path,
) -> None:
    final = small_disk / "map.tif"
    files.write_bytes(final, b"old")
    for kib in range(50, 1025, 39):
        (small_disk / "ballast").write_bytes(bytes((1024 - kib) * 1024))
        with pytest.raises(RetryError, match=r"map\.tif: the disk is full; got \d MB free"):
            files.write_bytes(final, bytes(1 << 20))
        assert final.read_bytes() == b"old"
        assert names(small_disk) == ["ballast", "map.tif"]
    (small_disk / "ballast").unlink()
    files.write_bytes(final, bytes(1 << 19))
    assert final.stat().st_size == 1 << 19


def test_every_file_of_a_directory_is_on_the_disk_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace = files.sync, Path.replace
    monkeypatch.setattr(files, "sync", lambda path: (events.append(path.name), sync(path)))
    monkeypatch.setattr(
        Path, "replace", lambda path, to: (events.append(f"-> {to.name}"), replace(path, to))
    )
    with files.whole(tmp_path / "chips") as temporary:
        (temporary / "deep").mkdir(parents=True)
        (temporary / "deep" / "a.npy").touch()
        (temporary / "b.npy").touch()
    named = events.index("-> chips")
    assert set(events[:named]) == {temporary.name, "deep", "a.npy", "b.npy"}
    assert events[named + 1 :] == [tmp_path.name]


def test_what_killed_processes_left_is_cleared_and_nothing_else(tmp_path: Path) -> None:
    for name in (
        "map.tif", ".map.0123abcd.part.tif", ".map.89ef4567.part.tif", ".map.89ef4567.part.tfw",
        ".maps.0123abcd.part.tif", ".map.part.tif",
    ):  # fmt: skip
        (tmp_path / name).touch()
    (tmp_path / ".chips.0123abcd.part").mkdir()
    for name in ("map.tif", "chips", "[ab].tif"):
        files.clear_leftovers(tmp_path / name)
    assert names(tmp_path) == [
        ".map.89ef4567.part.tfw", ".map.part.tif", ".maps.0123abcd.part.tif", "map.tif",
    ]  # fmt: skip


def test_a_parent_that_is_a_file_is_an_output_error(tmp_path: Path) -> None:
    (tmp_path / "plain").touch()
    with pytest.raises(OutputError, match="choose another -o"):
        files.write_bytes(tmp_path / "plain" / "a.tif", b"x")


def test_a_folder_where_a_file_shall_go_is_an_output_error_and_stays(tmp_path: Path) -> None:
    (tmp_path / "map.tif" / "mine").mkdir(parents=True)
    with pytest.raises(OutputError, match="Is a directory"):
        files.write_bytes(tmp_path / "map.tif", b"x")
    assert names(tmp_path) == ["map.tif"]
    assert names(tmp_path / "map.tif") == ["mine"]


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_an_output_error(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(OutputError, match="choose another"):
        files.write_bytes(tmp_path / "a.tif", b"x")


def test_write_bytes_returns_the_sha256_of_what_stands_there(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    assert files.write_bytes(path, b"abc") == hashlib.sha256(b"abc").hexdigest()
    assert files.sha256(path) == hashlib.sha256(path.read_bytes()).hexdigest()


def test_json_is_utf8_and_refuses_nan(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    files.write_json(path, {"name": "Fédé"})
    assert path.read_bytes() == '{\n  "name": "Fédé"\n}\n'.encode()
    with pytest.raises(ValueError):
        files.write_json(path, float("nan"))
    assert "Fédé" in path.read_text(encoding="utf-8")


def test_a_fingerprint_depends_on_content_and_not_on_key_order() -> None:
    one = files.fingerprint({"a": 1, "b": [1, 2]})
    assert one == files.fingerprint({"b": [1, 2], "a": 1})
    assert one != files.fingerprint({"a": 1, "b": [2, 1]})
    assert one != files.fingerprint({"a": "1", "b": [1, 2]})


def test_remove_takes_files_and_trees_and_does_not_mind_absence(tmp_path: Path) -> None:
    (tmp_path / "tree" / "leaf").mkdir(parents=True)
    (tmp_path / "file").touch()
    for name in ("tree", "file", "nothing"):
        files.remove(tmp_path / name)
    assert names(tmp_path) == []
