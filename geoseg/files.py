"""Files that appear whole or not at all, and hashes of content."""

from __future__ import annotations

import errno
import glob
import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from geoseg.errors import OutputError, RetryError

UNUSABLE = (
    errno.EACCES, errno.EROFS, errno.EPERM, errno.ENOTDIR, errno.EISDIR, errno.EEXIST,
)  # fmt: skip


@contextmanager
def whole(final: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``final`` that replaces it when the block succeeds.

    The temporary name keeps the final suffix, by which GDAL and others choose a format. On any
    exception the temporary file is removed, and an earlier file under the final name stays.

    Args:
        final: the final path of the file or directory.

    Raises:
        OutputError: the folder is not writable.
        RetryError: the disk is full.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "note.txt"
        >>> with whole(target) as temporary:
        ...     _ = temporary.write_text("done", encoding="utf-8")
        >>> target.read_text(encoding="utf-8"), len(list(target.parent.iterdir()))
        ('done', 1)
    """
    with disk_errors(final):
        final.parent.mkdir(parents=True, exist_ok=True)
    temporary = _beside(final)
    try:
        with disk_errors(final):
            yield temporary
            _sync_tree(temporary)
            if temporary.is_dir() and final.is_dir():
                _swap(temporary, final)
            else:
                temporary.replace(final)
            sync(final.parent)
    finally:
        remove(temporary)


def clear_leftovers(final: Path) -> None:
    """Remove temporary files that killed processes have left beside ``final``.

    GDAL writes files of its own, such as journals, beside them, whose names are longer.
    """
    name = _temporary_name(glob.escape(final.name), "?" * 8)
    for leftover in final.parent.glob(f"{name}*" if final.suffix else name):
        remove(leftover)


def write_bytes(final: Path, data: bytes) -> str:
    """Write ``data`` to ``final``, whole or not at all, and return its SHA-256.

    Raises:
        OutputError: the folder is not writable.
        RetryError: the disk is full.
    """
    with whole(final) as temporary:
        temporary.write_bytes(data)
    return hashlib.sha256(data).hexdigest()


def write_json(final: Path, value: Any) -> None:
    """Write ``value`` to ``final`` as indented UTF-8 JSON, whole or not at all.

    Raises:
        OutputError: the folder is not writable.
        RetryError: the disk is full.
        ValueError: a number is NaN or infinite, which JSON cannot hold.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False)
    write_bytes(final, (text + "\n").encode())


def remove(path: Path) -> None:
    """Remove a file or a directory tree, if it exists."""
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def sha256(path: Path) -> str:
    """The SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def fingerprint(value: Any) -> str:
    """The SHA-256 of a JSON value, independent of the order of keys.

    Example:
        >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
        True
    """
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()


def stamp_of(paths: Iterable[Path]) -> str:
    """A text that changes when one of several files is replaced, added or removed."""
    stamps: list[list[object]] = []
    for each in paths:
        try:
            stat = each.stat()
        except OSError:
            stamps.append([str(each)])
        else:
            stamps.append([str(each), stat.st_mtime_ns, stat.st_ino, stat.st_size])
    return fingerprint(stamps)


@contextmanager
def disk_errors(final: Path) -> Iterator[None]:
    """Turn errors of the system while ``final`` is written into ones a user can act on.

    Raises:
        OutputError: the folder is not writable.
        RetryError: the disk is full.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            free = shutil.disk_usage(final.parent).free
            raise RetryError(
                "the disk is full",
                where=final,
                got=f"{free / 1e6:.0f} MB free",
                fix="free some space and run the same command again",
            ) from error
        if error.errno in UNUSABLE:
            raise OutputError(
                "cannot be written", where=final, got=error.strerror, fix="choose another -o"
            ) from error
        raise


def sync(path: Path) -> None:
    """Flush a file or a directory's entries to the disk.

    A rename survives a power cut only once the directory is flushed too. Windows offers no handles
    of directories and needs none.
    """
    if path.is_dir() and os.name == "nt":
        return
    handle = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(final: Path) -> Path:
    return final.with_name(_temporary_name(final.name, uuid.uuid4().hex[:8]))


def _temporary_name(name: str, token: str) -> str:
    return f".{Path(name).stem}.{token}.part{Path(name).suffix}"


def _swap(new: Path, final: Path) -> None:
    """Replace one directory by another; a kill in the middle leaves no half of either."""
    old = _beside(final)
    final.replace(old)
    try:
        new.replace(final)
    except OSError:
        old.replace(final)
        raise
    remove(old)


def _sync_tree(path: Path) -> None:
    for each in path.rglob("*") if path.is_dir() else ():
        sync(each)
    sync(path)
