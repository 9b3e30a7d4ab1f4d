"""Links from a map directory to the files around it."""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import quote


def href(path: Path, folder: Path) -> str:
    """The relative URL of a file, seen from a folder; an absolute one on another drive.

    Relative links survive when the folder is moved together with the files around it.

    Example:
        >>> href(Path("demo/my polygons.gpkg"), Path("demo/map"))
        '../my%20polygons.gpkg'
    """
    try:
        relative = quote(Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix())
    except ValueError:  # Windows has no relative path between drives
        return path.resolve().as_uri()
    return relative if relative.startswith("..") else f"./{relative}"
