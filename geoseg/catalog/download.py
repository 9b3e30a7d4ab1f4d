"""Resumable downloads of large files."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

from geoseg import files, progress, remote
from geoseg.errors import ConfigError, RetryError
from geoseg.remote import COPY_BYTES, Address, Body


def transfer(address: Address, part: Path, *, most: int) -> None:
    """Download a file, resuming an earlier download.

    The file's version, as the server states it, is kept beside ``part``; if it has changed, the
    download starts over.

    Args:
        address: the file.
        part: where its bytes go; kept if the transfer breaks off.
        most: largest size in bytes that is accepted.

    Raises:
        ConfigError: the server has no such file or refuses it, or it is too large.
        RetryError: the disk is full, or the transfer failed repeatedly without progress.
    """
    while True:
        before = _length(part)
        try:
            return remote.patiently(lambda: _append(address, part, most))
        except OSError as error:
            if _length(part) > before:
                continue
            raise RetryError(
                "cannot be fetched",
                where=address.name,
                got=str(error) or type(error).__name__,
                fix="run the same command again: it resumes",
            ) from error


def discard(part: Path) -> None:
    """Remove a partial file and the note of its version."""
    for path in (part, _note(part)):
        path.unlink(missing_ok=True)


def finish(part: Path, final: Path) -> None:
    """Give a complete download its final name."""
    files.sync(part)
    part.replace(final)
    discard(part)
    files.sync(final.parent)


def _append(address: Address, part: Path, most: int) -> None:
    """Ask for the last byte again: past the end of a complete part a server states no version."""
    note = _note(part)
    begin = max(_length(part) - 1, 0) if note.is_file() else 0
    with address.rest(begin) as rest:
        if rest is None or (rest.begin and rest.version != note.read_text(encoding="utf-8")):
            discard(part)
            raise OSError("the file has changed on the server")
        if (rest.total or 0) > most:
            raise _too_large(address, f"{(rest.total or 0) / 1e9:.3g} GB", most)
        with files.disk_errors(part):
            note.write_text(rest.version, encoding="utf-8")
        _save(rest, part, address, most)


def _save(rest: Body, part: Path, address: Address, most: int) -> None:
    total = None if rest.total is None else math.ceil((rest.total - rest.begin) / COPY_BYTES)
    pieces = iter(_reader(rest), b"")
    with part.open("r+b" if rest.begin else "wb") as out:
        out.seek(rest.begin)
        for piece in progress.track(pieces, label=part.stem.lstrip("."), total=total):
            if out.tell() + len(piece) > most:
                raise _too_large(address, "more", most)
            with files.disk_errors(part):
                out.write(piece)
                out.flush()
        if rest.total is not None and out.tell() != rest.total:
            raise OSError(f"{out.tell()} bytes of {rest.total}")


def _reader(rest: Body) -> Callable[[], bytes]:
    def read() -> bytes:
        return bytes(rest.stream.read(COPY_BYTES))

    return read


def _too_large(address: Address, got: str, most: int) -> ConfigError:
    return ConfigError(
        "is larger than allowed",
        where=address.name,
        got=got,
        wanted=f"at most {most / 1e9:.3g} GB",
        fix="--max-gb",
    )


def _length(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.version")
