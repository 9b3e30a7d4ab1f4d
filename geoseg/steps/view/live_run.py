"""A run that is still going: which of its parts have landed, and how they look. Only reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
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
from geoseg.job import RunView, view_run
from geoseg.maps.contents import SCHEME
from geoseg.raster import Band, Block
from geoseg.report.mercator_frame import frame_of
from geoseg.report.pictures import HeldSource, class_ids, class_picture
from geoseg.style.read_styles import load_scheme

MOST_PX = 2048
"""Longest side of the picture of a run."""


@dataclass
class Landing:
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
        run = view_run(self.folder)
        drawn = self._draw(run.work, run.parts) if run.work and run.parts else None
        return {
            "text": _said(run),
            "parts": drawn[0] if drawn else 0,
            "corners": drawn[1] if drawn else None,
            "picture": "classes.png",
            "finished": run.finished,
        }

    def picture(self) -> bytes | None:
        """The parts that have landed, as a PNG with a palette."""
        return self._drawn[2] if self._drawn else None

    def _draw(
        self, work: Path, parts: Mapping[str, Window]
    ) -> tuple[int, list[list[float]], bytes] | None:
        if self._drawn and self._drawn[0] == len(parts):
            return self._drawn
        with suppress(RasterioError, OSError):  # parts go when the run is finished
            held = self._held(work, parts)
            frame = frame_of(held.geobox, MOST_PX)
            if frame is not None:
                picture = class_picture(class_ids(held, frame), self.scheme)
                self._drawn = len(parts), frame.corners(), picture.data
        return self._drawn

    def _held(self, work: Path, windows: Mapping[str, Window]) -> HeldSource:
        """All parts together, each pixel of the picture a power of two of theirs."""
        row, col = min(w.row for w in windows.values()), min(w.col for w in windows.values())
        stops = [w.stop for w in windows.values()]
        height, width = max(stop[0] for stop in stops) - row, max(stop[1] for stop in stops) - col
        step = 1 << max(0, int(np.ceil(np.log2(max(height, width) / MOST_PX))))
        ids = np.full((-(-height // step), -(-width // step)), IGNORE, np.uint8)
        for name, window in windows.items():
            part = self._part(work / name, step)
            top, left = (window.row - row) // step, (window.col - col) // step
            ids[top : top + part.shape[0], left : left + part.shape[1]] = part
        affine, crs = _corner(work, *next(iter(windows.items())))
        affine = affine @ Affine.translation(col, row) @ Affine.scale(step)
        block = Block(ids[None], ids != IGNORE, GeoBox(ids.shape, affine, crs))
        return HeldSource(block, (Band("class", IGNORE),), str(self.folder))

    def _part(self, path: Path, step: int) -> NDArray[np.uint8]:
        key = path.name, step
        if key not in self._seen:
            with rasterio.open(path, driver="GTiff") as dataset:
                shape = tuple(-(-side // step) for side in dataset.shape)
                self._seen[key] = dataset.read(1, out_shape=shape)
        return self._seen[key]


def scheme_of(folder: Path, given: Path | None) -> ClassScheme:
    """The classes of a run that is not finished.

    Raises:
        ConfigError: nothing says what they are.
        ClassError: what was given is no class file.
    """
    beside = folder.resolve().parent / "model"
    for path in [given] if given else [folder / SCHEME, beside]:
        spec = path / "spec.json"
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


def _said(run: RunView) -> str:
    if run.finished:
        return "This run is finished."
    parts = len(run.parts)
    landed = f"{parts:,} part{'' if parts == 1 else 's'} of the map landed so far"
    if run.held:
        return f"This run is still going: {landed}, and more appear here as they come."
    return f"This run has stopped: {landed}. The command that began it goes on from here."


def _corner(work: Path, name: str, window: Window) -> tuple[Affine, str]:
    """Where the whole map begins, and its CRS, from one of its parts."""
    with rasterio.open(work / name, driver="GTiff") as dataset:
        affine: Affine = dataset.transform @ Affine.translation(-window.col, -window.row)
        return affine, dataset.crs.to_wkt()
