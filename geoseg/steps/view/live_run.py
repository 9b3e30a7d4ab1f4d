"""A live run: a picture of its finished parts, and its progress. Nothing is written."""

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
from geoseg.layout import CLASS_FILE, MODEL_SPEC
from geoseg.raster import Band, Block
from geoseg.report.block_source import BlockSource
from geoseg.report.mercator_frame import frame_of
from geoseg.report.pictures import class_ids, class_picture
from geoseg.style.read_styles import load_scheme

PICTURE = "classes.png"
MOST_PX = 2048
"""Longest side of the picture; half of a finished map's, as it is drawn again and again."""


@dataclass(frozen=True)
class Drawing:
    """A picture of the parts that were finished at one moment.

    Attributes:
        parts: number of parts in it.
        corners: longitude and latitude of the upper left, upper right, lower right, lower left.
        png: the picture.
    """

    parts: int
    corners: list[list[float]]
    png: bytes


@dataclass
class LiveRun:
    """A run that is still going, or was interrupted.

    Attributes:
        folder: the map directory.
        scheme: the classes.
    """

    folder: Path
    scheme: ClassScheme
    _read: dict[tuple[str, int], NDArray[np.uint8]] = field(default_factory=dict)
    _drawing: Drawing | None = None

    def state(self) -> dict[str, Any]:
        """Progress of the run, as the page's script reads it."""
        run = view_run(self.folder)
        drawing = self._draw(run.work, run.parts) if run.work and run.parts else None
        return {
            "text": _progress(run),
            "parts": drawing.parts if drawing else 0,
            "corners": drawing.corners if drawing else None,
            "picture": PICTURE,
            "finished": run.finished,
        }

    def picture(self) -> bytes | None:
        """The finished parts as a PNG with a palette, as drawn by `state`; None without any."""
        return self._drawing.png if self._drawing else None

    def _draw(self, work: Path, parts: Mapping[str, Window]) -> Drawing | None:
        if self._drawing and self._drawing.parts == len(parts):
            return self._drawing
        # A run that finishes removes its parts, perhaps while they are read here. The page then
        # keeps its last picture until it asks for the finished map.
        with suppress(RasterioError, OSError):
            mosaic = self._mosaic(work, parts)
            frame = frame_of(mosaic.geobox, MOST_PX)
            if frame is not None:
                picture = class_picture(class_ids(mosaic, frame), self.scheme)
                self._drawing = Drawing(len(parts), frame.corners(), picture.data)
        return self._drawing

    def _mosaic(self, work: Path, windows: Mapping[str, Window]) -> BlockSource:
        """All parts on one grid, coarser by a power of two, so that parts meet without a seam."""
        row, col = min(w.row for w in windows.values()), min(w.col for w in windows.values())
        stops = [w.stop for w in windows.values()]
        height, width = max(stop[0] for stop in stops) - row, max(stop[1] for stop in stops) - col
        step = 1 << max(0, int(np.ceil(np.log2(max(height, width) / MOST_PX))))
        ids = np.full((-(-height // step), -(-width // step)), IGNORE, np.uint8)
        for name, window in windows.items():
            part = self._part(work / name, step)
            top, left = (window.row - row) // step, (window.col - col) // step
            ids[top : top + part.shape[0], left : left + part.shape[1]] = part
        affine, crs = _origin(work, *next(iter(windows.items())))
        affine = affine @ Affine.translation(col, row) @ Affine.scale(step)
        block = Block(ids[None], ids != IGNORE, GeoBox(ids.shape, affine, crs))
        return BlockSource(block, (Band("class", IGNORE),), str(self.folder))

    def _part(self, path: Path, step: int) -> NDArray[np.uint8]:
        key = path.name, step
        if key not in self._read:
            with rasterio.open(path, driver="GTiff") as dataset:
                shape = tuple(-(-side // step) for side in dataset.shape)
                self._read[key] = dataset.read(1, out_shape=shape)
        return self._read[key]


def scheme_of_run(folder: Path, given: Path | None) -> ClassScheme:
    """Find the classes of an unfinished run.

    The run itself writes its class file only when it finishes, so that they are read from the
    model beside the map, where a pipeline puts it.

    Args:
        folder: the map directory.
        given: class file or model directory; None to look for one.

    Raises:
        ConfigError: no classes are found.
        ClassError: the given file is not a class file.
    """
    beside = folder.resolve().parent / "model"
    for path in [given] if given else [folder / CLASS_FILE, beside]:
        spec = path / MODEL_SPEC
        if spec.is_file():
            return parse(json.loads(spec.read_text(encoding="utf-8"))["scheme"], where=spec)
        if path.is_file():
            return load_scheme(path)
    raise ConfigError(
        "the classes of this unfinished run are unknown",
        where=given or folder,
        wanted="a class file or a model directory",
        fix="--classes MODEL",
    )


def _progress(run: RunView) -> str:
    if run.finished:
        return "This run is finished."
    parts = len(run.parts)
    done = f"{parts:,} part{'' if parts == 1 else 's'} of the map finished so far"
    if run.held:
        return f"This run is still going: {done}, and more appear here as they come."
    return f"This run has stopped: {done}. Run the same command again to continue it."


def _origin(work: Path, name: str, window: Window) -> tuple[Affine, str]:
    """Affine transform and CRS of the whole map, from one of its parts."""
    with rasterio.open(work / name, driver="GTiff") as dataset:
        affine: Affine = dataset.transform @ Affine.translation(-window.col, -window.row)
        return affine, dataset.crs.to_wkt()
