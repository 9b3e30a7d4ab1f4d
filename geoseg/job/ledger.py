"""An append-only list of finished parts that survives kill -9 at any byte."""

from __future__ import annotations

import json
import os
import zlib
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import batched
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.errors import RetryError
from geoseg.layout import LEDGER

HASHED_TOGETHER = 64
"""Parts that one thread hashes in a row: parts are small, and threads have to be woken."""


class Ledger:
    """Finished parts of a run: one line each, ``crc32 json``, flushed to the disk.

    Every line starts with a newline, so that a torn last line does not spoil the next one. Lines
    with a wrong checksum are ignored. Only the driving process writes.

    Args:
        folder: the directory of the ledger and its parts; made if need be.

    Raises:
        OutputError: the directory cannot be written to.
        RetryError: the disk is full.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._path = folder / LEDGER
        self._digests: dict[str, str] = {}
        self._read = False
        with files.disk_errors(self._path):
            folder.mkdir(parents=True, exist_ok=True)
            self._path.touch()
            files.sync(folder)

    def add(self, name: str, sha256: str, facts: dict[str, Any]) -> None:
        """Record a part that is on the disk; a part that is recorded already is left alone.

        Args:
            name: file name of the part.
            sha256: hash of the file.
            facts: anything about the part that is needed later, as JSON values.

        Raises:
            RetryError: the part was recorded with another hash, the disk is full, or the folder
                was removed.
        """
        if not self._read:
            deque(self._entries(), maxlen=0)
        if name in self._digests:
            self._check(name, sha256)
            return
        text = json.dumps({"name": name, "sha256": sha256, "facts": facts})
        self._append(f"\n{zlib.crc32(text.encode()):08x} {text}".encode())
        self._digests[name] = sha256

    def parts(self) -> dict[str, dict[str, Any]]:
        """Facts by name, of the parts whose file still has the recorded hash.

        Raises:
            RetryError: a part is recorded with two hashes.
        """
        parts: dict[str, dict[str, Any]] = {}
        with ThreadPoolExecutor() as threads:
            for sound in threads.map(self._sound, batched(self._entries(), HASHED_TOGETHER)):
                parts |= sound
        return parts

    def _entries(self) -> Iterator[dict[str, Any]]:
        self._digests.clear()
        for entry in entries(self._path):
            self._digests.setdefault(entry["name"], entry["sha256"])
            self._check(entry["name"], entry["sha256"])
            yield entry
        self._read = True

    def _check(self, name: str, sha256: str) -> None:
        known = self._digests[name]
        if known != sha256:
            raise RetryError(
                "the same part came out differently the second time",
                where=self.folder / name,
                got=sha256[:12],
                wanted=known[:12],
                fix=f"remove {self.folder} and run the same command again",
            )

    def _sound(self, entries: Iterable[dict[str, Any]]) -> dict[str, dict[str, Any]]:
        return {entry["name"]: entry["facts"] for entry in entries if self._holds(entry)}

    def _holds(self, entry: dict[str, Any]) -> bool:
        try:
            return files.sha256(self.folder / entry["name"]) == str(entry["sha256"])
        except OSError:
            return False

    def _append(self, line: bytes) -> None:
        # "r+b", not "ab": where the folder was removed and made again, appending would begin a new
        # ledger, and earlier parts would be forgotten in silence.
        try:
            with files.disk_errors(self._path), self._path.open("r+b") as stream:
                stream.seek(0, os.SEEK_END)
                stream.write(line)
                stream.flush()
                os.fsync(stream.fileno())
        except FileNotFoundError as error:
            raise RetryError(
                "was removed during the run",
                where=self.folder,
                fix="run the same command again",
            ) from error


def entries(path: Path) -> Iterator[dict[str, Any]]:
    """The entries of a ledger file whose checksum is right: ``name``, ``sha256`` and ``facts``.

    Only reads, so it may look at a ledger that another process is writing.

    Raises:
        OSError: the file cannot be read.
    """
    with path.open("rb") as stream:
        for line in stream:
            checksum, _, text = line.rstrip(b"\n").partition(b" ")
            if checksum == f"{zlib.crc32(text):08x}".encode():
                yield json.loads(text)
