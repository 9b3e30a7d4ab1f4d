"""Runs that fill the disk: the earlier map stays, and the run resumes once there is room.

GEOSEG_DISKS sets how many sizes of a full disk are tried.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from pathlib import Path

import numpy as np
import pytest
from victim import Victim
from watched_runs import Undisturbed, Watch, run_undisturbed

from geoseg.files import sha256

pytestmark = [
    pytest.mark.slow,
    pytest.mark.alone,
    pytest.mark.skipif(os.name == "nt", reason="Windows has neither SIGKILL nor process groups"),
]
DISKS = int(os.environ.get("GEOSEG_DISKS", "2"))


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    return run_undisturbed(tmp_path_factory.mktemp("undisturbed"))


@pytest.fixture
def watch(tmp_path: Path, undisturbed: Undisturbed) -> Iterator[Watch]:
    """A run that has not begun, with a watch over it."""
    watch = Watch(Victim(undisturbed.scene, tmp_path / "map"), undisturbed)
    yield watch
    watch.close()


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
