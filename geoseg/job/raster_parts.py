"""File names of the parts that a raster is made of; a name states which pixels its part holds."""

from __future__ import annotations

import re

from geoseg.grid import Window

_NAME = re.compile(r"(\d+)-(\d+)-(\d+)x(\d+)\.tif")


def part_name(window: Window) -> str:
    """File name of the part that holds the pixels of ``window``.

    Example:
        >>> part_name(Window(512, 0, 512, 300))
        '512-0-512x300.tif'
    """
    return f"{window.row}-{window.col}-{window.height}x{window.width}.tif"


def part_window(name: str) -> Window | None:
    """The pixels that a part holds, from its file name; None for any other file.

    Example:
        >>> part_window("512-0-512x300.tif")
        Window(row=512, col=0, height=512, width=300)
    """
    found = _NAME.fullmatch(name)
    return Window(*map(int, found.groups())) if found else None
