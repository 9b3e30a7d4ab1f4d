"""The files that a layer of polygons is read from."""

from __future__ import annotations

import glob
from pathlib import Path


def files_of(path: Path) -> tuple[Path, ...]:
    """A polygon file and all beside it that change what is read, such as .dbf, .prj and -wal.

    Of a folder, such as a .gdb, they are the files in it.
    """
    beside = path.parent.glob(f"{glob.escape(path.stem)}[.-]*")
    found = {each for each in (*beside, *path.rglob("*")) if each.is_file()}
    return (path, *sorted(found - {path})) if path.is_file() else tuple(sorted(found)) or (path,)
