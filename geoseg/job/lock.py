"""One run at a time: a lock file that names its holder, which keeps a heartbeat.

The kernel's own locks (flock, fcntl) go with their process, but do not reach other machines on many
network file systems. A file does; what it cannot tell is whether its holder is still alive. So it
names the process, which this machine can look up, and its time is renewed every few seconds, which
every machine can see.
"""

from __future__ import annotations

import errno
import glob
import json
import logging
import os
import socket
import sys
import threading
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from geoseg import files
from geoseg.errors import OutputError
from geoseg.layout import LOCK

logger = logging.getLogger(__name__)
TRIES = 5
"""Attempts to take the lock while other processes take it over and give it back."""

BEAT_S = 5.0
QUIET_S = 60.0
"""After this long without a heartbeat, a torn lock or one from before a reboot is stale."""

CLOCK_SLACK_S = 2.0
"""Start times of one process differ by up to a second: the kernel rounds the boot time."""


@dataclass(frozen=True)
class Holder:
    """The run that holds a lock.

    Attributes:
        host: name of the machine.
        pid: the process.
        since: when the process started, in seconds since 1970.
        boot: identifies the boot and the container: hosts may share a name, and pids recur.
        token: identifies the run within its process.
    """

    host: str
    pid: int
    since: float
    boot: str
    token: str

    @classmethod
    def here(cls) -> Holder:
        """A new run in this process."""
        me = psutil.Process()
        return cls(socket.gethostname(), me.pid, me.create_time(), _boot(), uuid.uuid4().hex)

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host}"


@dataclass(frozen=True)
class Lock:
    """A lock that this process holds.

    Attributes:
        path: the lock file.
        holder: this run.
    """

    path: Path
    holder: Holder

    def stands(self) -> bool:
        """Whether the file is still there and still names this run."""
        try:
            return _parse(self.path.read_bytes()) == self.holder
        except OSError:
            return False


@contextmanager
def lock(folder: Path, name: str = LOCK) -> Iterator[Lock]:
    """Hold ``folder`` for one run.

    The lock of a process that has died on this machine is taken over. The lock of another machine
    never is: its process cannot be looked up from here.

    Args:
        folder: the folder; it must exist.
        name: name of the lock file; other names hold something within the folder, such as a file.

    Raises:
        OutputError: another run holds the folder, or it cannot be written to.
        RetryError: the disk is full.
    """
    held = Lock(folder / name, Holder.here())
    _take(held)
    ended = threading.Event()
    beat = threading.Thread(target=_beat, args=(held, ended), daemon=True)
    beat.start()
    try:
        yield held
    finally:
        ended.set()
        beat.join()
        if held.stands():
            held.path.unlink(missing_ok=True)


def has_heartbeat(folder: Path) -> bool:
    """Whether a run holds ``folder`` and has kept its heartbeat within the last minute.

    Only looks at the time of the lock file, so it works for runs on other machines too, as far as
    their clocks agree.
    """
    try:
        return time.time() - (folder / LOCK).stat().st_mtime < QUIET_S
    except OSError:
        return False


def _take(held: Lock) -> None:
    """Write the lock under a temporary name first, so that nobody ever reads half of it."""
    written = held.path.with_name(f"{held.path.name}.{held.holder.token}")
    try:
        with files.disk_errors(held.path.parent):
            written.write_text(json.dumps(asdict(held.holder)), encoding="utf-8")
            for _ in range(TRIES):
                if _link(written, held.path) or _take_over(written, held.path):
                    _clear(held.path)
                    return
    finally:
        written.unlink(missing_ok=True)
    raise OutputError(
        "another run has just taken the lock", where=_output(held.path), fix="wait for it"
    )


def _link(written: Path, path: Path) -> bool:
    """Give the lock its name, unless that is taken.

    A hard link is the one call that creates a file with content and fails if the name exists, on
    NFS too.
    """
    try:
        path.hardlink_to(written)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        return _copy(written, path)
    return True


def _copy(written: Path, path: Path) -> bool:
    """As `_link`, on file systems without hard links, such as exFAT.

    A kill between creating and writing leaves a torn file, which `_is_torn` recognises.
    """
    try:
        with path.open("xb") as stream:
            stream.write(written.read_bytes())
    except FileExistsError:
        return False
    return True


def _take_over(written: Path, path: Path) -> bool:
    """Replace a stale lock; False where another process was faster."""
    try:
        text = path.read_bytes()
        # Both times come from the machine that has the disk, so no two clocks are compared.
        quiet_s = written.stat().st_mtime - path.stat().st_mtime
    except FileNotFoundError:
        return False
    if not _is_stale(text, quiet_s):
        raise OutputError(
            "another run holds this output",
            where=_output(path),
            got=f"{_parse(text) or 'an unreadable lock file'}, last heartbeat"
            f" {max(0, round(quiet_s))} s ago",
            fix=f"wait for it, or remove {path} if that run is dead",
        )
    try:
        with _alone(path) as alone:
            if not alone or path.read_bytes() != text:
                return False
            written.replace(path)
    except FileNotFoundError:
        return False
    logger.info("%s: took over the lock of a dead run", _output(path))
    return True


def _output(path: Path) -> Path:
    """The folder or file that a lock file stands for."""
    name = path.name.removesuffix(LOCK).removeprefix(".")
    return path.parent / name


def _clear(path: Path) -> None:
    """Remove what processes left behind that were killed while they took the lock."""
    for each in path.parent.glob(f"{glob.escape(path.name)}.*"):
        with suppress(FileNotFoundError):
            quiet_s = path.stat().st_mtime - each.stat().st_mtime
            if _is_stale(each.read_bytes(), quiet_s):
                each.unlink()


def _is_stale(text: bytes, quiet_s: float) -> bool:
    """Whether the run that wrote this lock is known to be dead."""
    holder = _parse(text)
    if holder is None:
        return quiet_s > QUIET_S and _is_torn(text)
    if holder.host != socket.gethostname():
        return False
    if holder.boot != _boot():
        return quiet_s > QUIET_S
    return not _is_alive(holder)


@contextmanager
def _alone(path: Path) -> Iterator[bool]:
    """Whether no other process is replacing the lock file now, and none has just replaced it.

    The kernel's lock goes with its process, so a kill here leaves nothing behind. Windows cannot
    replace an open file, so there two processes that take over at the same moment are not kept
    apart.
    """
    if sys.platform == "win32":
        yield True
        return
    import fcntl

    with path.open("r+b") as stream:
        try:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            alone = os.path.samestat(os.fstat(stream.fileno()), path.stat())
        except (FileNotFoundError, BlockingIOError):
            alone = False
        yield alone


def _parse(text: bytes) -> Holder | None:
    try:
        found = json.loads(text)
        host, boot, token = (str(found[name]) for name in ("host", "boot", "token"))
        return Holder(host, int(found["pid"]), float(found["since"]), boot, token)
    except (ValueError, KeyError, TypeError):
        return None


def _is_torn(text: bytes) -> bool:
    """Whether this is no JSON object: the process was killed, or the power failed, in writing."""
    try:
        return not isinstance(json.loads(text), dict)
    except ValueError:
        return True


def _is_alive(holder: Holder) -> bool:
    """Whether the process that took the lock still runs, and not a later one with its pid.

    The start time tells them apart. It is derived from the boot time, which the kernel rounds anew
    at every call. A zombie was killed, but its parent has not collected its exit status.
    """
    try:
        process = psutil.Process(holder.pid)
        zombie = process.status() == psutil.STATUS_ZOMBIE
        return not zombie and abs(process.create_time() - holder.since) < CLOCK_SLACK_S
    except psutil.Error:
        return False


def _boot() -> str:
    """Identifies this boot and this container's pid namespace; empty outside of Linux."""
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _beat(held: Lock, ended: threading.Event) -> None:
    while not ended.wait(BEAT_S):
        with suppress(OSError):
            if held.stands():
                os.utime(held.path)
