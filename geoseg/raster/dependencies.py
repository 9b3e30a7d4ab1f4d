"""The files that a raster is read from: itself, its sidecars, and all that a VRT arranges."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

from geoseg.errors import InputError
from geoseg.raster.drivers import vrt_sources

APPENDED = (".aux.xml", ".ovr", ".msk", ".xml")
"""What GDAL adds to a file's whole name: its own metadata, overviews, a mask, ESRI's metadata."""
IN_PLACE = (".aux", ".tab", ".wld")
"""What it puts in place of the suffix, besides world files such as .tfw and .tifw."""

type Listing = dict[Path, dict[str, Path]]
"""The files of folders, by their names in lower case."""


def files_of(*paths: Path) -> tuple[Path, ...]:
    """The files that the pixels, grids and validity of rasters come from, each raster first.

    Those of a VRT are followed however deep it is nested. A file that is missing or broken is
    listed all the same; opening it says what is wrong.
    """
    listing: Listing = {}
    found: dict[Path, None] = {}
    for path in paths:
        _collect(path, listing, found)
    return tuple(found)


def _collect(path: Path, listing: Listing, found: dict[Path, None]) -> None:
    if path not in found:
        found[path] = None
        found.update(dict.fromkeys(_sidecars(path, listing)))
        for source in _sources(path):
            _collect(source, listing, found)


def _sources(path: Path) -> list[Path]:
    try:
        return vrt_sources(path)
    except InputError:
        return []


def _sidecars(path: Path, listing: Listing) -> Iterator[Path]:
    if path.parent not in listing:
        listing[path.parent] = _listed(path.parent)
    ending = path.suffix[1:]
    worlds = (f".{ending[:1]}{ending[-1:]}w", f".{ending}w") if ending else ()
    names = [path.name + each for each in APPENDED]
    names += [path.stem + each for each in (*IN_PLACE, *worlds)]
    there = listing[path.parent]
    return (there[name.lower()] for name in names if name.lower() in there)


def _listed(folder: Path) -> dict[str, Path]:
    try:
        return {name.lower(): folder / name for name in os.listdir(folder)}  # noqa: PTH208
    except OSError:
        return {}
