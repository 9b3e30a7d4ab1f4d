"""An append-only list of finished parts that survives kill -9 at any byte."""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from geoseg import files


class Ledger:
    """Finished parts of a run: one line each, ``crc32 json``, flushed to the disk.

    Every line starts with a newline, so that a torn last line never spoils the next one; lines
    whose checksum is wrong are ignored. Only the driving process writes.

    Args:
        folder: where the ledger and its parts lie.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._path = folder / "ledger.jsonl"

    def add(self, name: str, sha256: str, facts: dict[str, Any]) -> None:
        """Record that the part ``name`` is on the disk with this hash."""
        text = json.dumps({"name": name, "sha256": sha256, "facts": facts})
        with self._path.open("a", encoding="utf-8") as stream:
            stream.write(f"\n{zlib.crc32(text.encode()):08x} {text}")
            stream.flush()
            os.fsync(stream.fileno())

    def parts(self) -> dict[str, dict[str, Any]]:
        """Facts by name of the parts that are recorded and still hold the bytes recorded."""
        sound: dict[str, dict[str, Any]] = {}
        for entry in self._entries():
            path = self.folder / entry["name"]
            if path.is_file() and files.sha256(path) == entry["sha256"]:
                sound[entry["name"]] = entry["facts"]
        return sound

    def _entries(self) -> Iterator[dict[str, Any]]:
        if not self._path.exists():
            return
        for line in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            checksum, _, text = line.partition(" ")
            if checksum == f"{zlib.crc32(text.encode()):08x}":
                yield json.loads(text)
