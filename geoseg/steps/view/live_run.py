"""A live run: a picture of its finished parts, and its progress. Nothing is written."""

from __future__ import annotations

import json
import re
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.errors import RasterioError

from geoseg.classes import IGNORE, ClassScheme, parse
from geoseg.errors import ConfigError
from geoseg.grid import Window
from geoseg.layout import CLASS_FILE, MODEL_SPEC, RECORD
from geoseg.raster import Band, Block
from geoseg.report.block_source import BlockSource
from geoseg.report.mercator_frame import frame_of
from geoseg.report.pictures import class_ids, class_picture
from geoseg.style.read_styles import load_scheme

WORK, LEDGER, LOCK = ".work-*", "ledger.jsonl", ".lock"
PART = re.compile(r"(\d+)-(\d+)-(\d+)x(\d+)\.tif")
QUIET_S = 60.0
"""A run that has given no sign of life for so long is taken for gone."""
MOST_PX = 2048
"""Longest side of the picture of a run."""


@dataclass
class LiveRun:
    """A run that is still going, or was interrupted.

    Attributes:
        folder: the map directory.
        scheme: the classes.
    """

    folder: Path
    scheme: ClassScheme
    _seen: dict[tuple[str, int], NDArray[np.uint8]] = field(default_factory=dict)
    _drawn: tuple[int, list[list[float]], bytes] | None = None

    def state(self) -> dict[str, Any]:
        """How far the run is, as the page asks for it."""
        work = work_of(self.folder)
        names = parts_of(work) if work else []
        finished = work is None and (self.folder / RECORD).is_file()
        drawn = self._draw(work, names) if work and names else None
        return {
            "text": self._said(len(names), finished=finished),
            "parts": drawn[0] if drawn else 0,
            "corners": drawn[1] if drawn else None,
            "picture": "classes.png",
            "finished": finished,
        }

    def picture(self) -> bytes | None:
        """The parts that have landed, as a PNG with a palette."""
        return self._drawn[2] if self._drawn else None

    def _said(self, parts: int, *, finished: bool) -> str:
        if finished:
            return "This run is finished."
        landed = f"{parts:,} part{'' if parts == 1 else 's'} of the map landed so far"
        if is_going(self.folder):
            return f"This run is still going: {landed}, and more appear here as they come."
        return f"This run has stopped: {landed}. The command that began it goes on from here."

    def _draw(self, work: Path, names: list[str]) -> tuple[int, list[list[float]], bytes] | None:
        if self._drawn and self._drawn[0] == len(names):
            return self._drawn
        with suppress(RasterioError, OSError):  # parts go when the run is finished
            held = self._held(work, names)
            frame = frame_of(held.geobox, MOST_PX)
            if frame is not None:
                picture = class_picture(class_ids(held, frame), self.scheme)
                self._drawn = len(names), frame.corners(), picture.data
        return self._drawn

    def _held(self, work: Path, names: list[str]) -> BlockSource:
        """All parts together, each pixel of the picture a power of two of theirs."""
        windows = {name: _window(name) for name in names}
        row, col = min(w.row for w in windows.values()), min(w.col for w in windows.values())
        stops = [w.stop for w in windows.values()]
        height, width = max(stop[0] for stop in stops) - row, max(stop[1] for stop in stops) - col
        step = 1 << max(0, int(np.ceil(np.log2(max(height, width) / MOST_PX))))
        ids = np.full((-(-height // step), -(-width // step)), IGNORE, np.uint8)
        for name, window in windows.items():
            part = self._part(work / name, step)
            top, left = (window.row - row) // step, (window.col - col) // step
            ids[top : top + part.shape[0], left : left + part.shape[1]] = part
        affine, crs = _corner(work / names[0], windows[names[0]])
        affine = affine @ Affine.translation(col, row) @ Affine.scale(step)
        block = Block(ids[None], ids != IGNORE, GeoBox(ids.shape, affine, crs))
        return BlockSource(block, (Band("class", IGNORE),), str(self.folder))

    def _part(self, path: Path, step: int) -> NDArray[np.uint8]:
        key = path.name, step
        if key not in self._seen:
            with rasterio.open(path, driver="GTiff") as dataset:
                shape = tuple(-(-side // step) for side in dataset.shape)
                self._seen[key] = dataset.read(1, out_shape=shape)
        return self._seen[key]


def work_of(folder: Path) -> Path | None:
    """Where the parts of a run lie that is not finished; the latest, where there are several."""
    found = [path for path in folder.glob(WORK) if (path / LEDGER).is_file()]
    return max(found, key=lambda path: (path / LEDGER).stat().st_mtime, default=None)


def is_going(folder: Path) -> bool:
    """Whether a run holds the folder and shows signs of life."""
    try:
        return time.time() - (folder / LOCK).stat().st_mtime < QUIET_S
    except OSError:
        return False


def parts_of(work: Path) -> list[str]:
    """Names of the parts in the ledger whose lines are whole, in the order they landed."""
    try:
        lines = (work / LEDGER).read_bytes().splitlines()
    except OSError:
        return []
    return list(dict.fromkeys(name for name in _names(lines) if PART.fullmatch(name)))


def scheme_of_run(folder: Path, given: Path | None) -> ClassScheme:
    """The classes of a run that is not finished.

    Raises:
        ConfigError: nothing says what they are.
        ClassError: what was given is no class file.
    """
    beside = folder.resolve().parent / "model"
    for path in [given] if given else [folder / CLASS_FILE, beside]:
        spec = path / MODEL_SPEC
        if spec.is_file():
            return parse(json.loads(spec.read_text(encoding="utf-8"))["scheme"], where=spec)
        if path.is_file():
            return load_scheme(path)
    raise ConfigError(
        "the run is not finished, and nothing says what its classes are",
        where=given or folder,
        wanted="a class file or a model directory",
        fix="--classes MODEL",
    )


def _names(lines: list[bytes]) -> Iterator[str]:
    for line in lines:
        checksum, _, text = line.partition(b" ")
        if checksum == f"{zlib.crc32(text):08x}".encode():
            yield str(json.loads(text)["name"])


def _window(name: str) -> Window:
    found = PART.fullmatch(name)
    assert found, "names of parts were chosen by this form"
    row, col, height, width = map(int, found.groups())
    return Window(row, col, height, width)


def _corner(path: Path, window: Window) -> tuple[Affine, str]:
    """Where the whole map begins, and its CRS, from one of its parts."""
    with rasterio.open(path, driver="GTiff") as dataset:
        affine: Affine = dataset.transform @ Affine.translation(-window.col, -window.row)
        return affine, dataset.crs.to_wkt()
