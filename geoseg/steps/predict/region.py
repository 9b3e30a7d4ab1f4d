"""A region: read once, mapped window by window, written as one part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
import torch
from dask.system import CPU_COUNT
from numpy.typing import NDArray

from geoseg import files, grid
from geoseg.classes import IGNORE
from geoseg.errors import ModelError
from geoseg.grid import Tile, Window
from geoseg.models.predictor import NetworkPredictor, Predictor
from geoseg.models.store import load_model
from geoseg.raster import Block, RasterSource
from geoseg.raster.cog import encode_part

type Bytes = NDArray[np.uint8]


@dataclass(frozen=True)
class RegionTask:
    """A region to map.

    Attributes:
        source: the scene, with the model's bands.
        model: the model directory.
        area: the pixels to map.
        window: side of what the model maps at once.
        halo: pixels of context around it.
        folder: where the part goes.
    """

    source: RasterSource
    model: Path
    area: Window
    window: int
    halo: int
    folder: Path

    @property
    def name(self) -> str:
        """File name of the part."""
        area = self.area
        return f"{area.row}-{area.col}-{area.height}x{area.width}.tif"


def plan(
    source: RasterSource, model: Path, window: int, halo: int, region: int, folder: Path
) -> list[RegionTask]:
    """The regions of a scene, row by row."""
    return [
        RegionTask(source, model, area, window, halo, folder)
        for area in grid.split(grid.whole(source.geobox.shape), region)
    ]


def map_region(task: RegionTask) -> tuple[str, dict[str, Any]]:
    """Map a region and write its part.

    Returns:
        The part's sha256, and how many windows were mapped and skipped and pixels each value has.
    """
    predictor = _model(task.model)
    values, facts = map_area(task.source, predictor, task.area, task.window, task.halo)
    data = encode_part(values, grid.crop(task.source.geobox, task.area))
    return files.write_bytes(task.folder / task.name, data), facts


def map_area(
    source: RasterSource, predictor: Predictor, area: Window, window: int, halo: int
) -> tuple[Bytes, dict[str, Any]]:
    """Map part of a scene.

    Args:
        source: the scene.
        predictor: the model.
        area: the pixels to map; its corner lies on the window grid.
        window: side of what the predictor maps at once, a multiple of its stride.
        halo: pixels of context around it, a multiple of its stride.

    Returns:
        (2, height, width): class ids and confidence in percent, 255 where the scene has no data;
        and counts.

    Raises:
        ModelError: the predictor fails on a window; names the window.
    """
    shape = tuple(source.geobox.shape)
    tiles = list(grid.tiles(shape, window, halo, multiple_of=predictor.stride, area=area))
    values = np.full((2, *area.shape), IGNORE, dtype=np.uint8)
    block, seen = _read(source, tiles)
    mapped = 0
    for tile in tiles:
        valid = block.valid[tile.core.relative_to(seen).slices]
        if not valid.any():
            continue
        mapped += 1
        core = tile.core.relative_to(tile.read).slices
        here = tile.core.relative_to(area).slices
        for band, result in zip(values, _apply(predictor, block, seen, tile, source), strict=True):
            band[here] = np.where(valid, result[core], IGNORE)
    pixels = np.bincount(values[0].ravel(), minlength=256)
    facts = {
        "windows": mapped,
        "skipped": len(tiles) - mapped,
        "pixels": {int(value): int(pixels[value]) for value in np.flatnonzero(pixels)},
    }
    return values, facts


def _read(source: RasterSource, tiles: list[Tile]) -> tuple[Block, Window]:
    """One read for all windows of a region, so that each stored block is decoded once."""
    row, col = min(t.read.row for t in tiles), min(t.read.col for t in tiles)
    stop_row, stop_col = max(t.read.stop[0] for t in tiles), max(t.read.stop[1] for t in tiles)
    seen = Window(row, col, stop_row - row, stop_col - col)
    return source.read(seen), seen


def _apply(
    predictor: Predictor, block: Block, seen: Window, tile: Tile, source: RasterSource
) -> tuple[Bytes, Bytes]:
    rows, cols = tile.read.relative_to(seen).slices
    try:
        return predictor(block.pixels[:, rows, cols], block.valid[rows, cols])
    except ModelError as error:
        at = tile.core
        raise ModelError(
            f"{error.what} in rows {at.row}-{at.stop[0]}, columns {at.col}-{at.stop[1]}",
            where=source.name,
            fix="look at the scene there; the model may have been trained on another range",
        ) from error


def task_threads() -> int:
    """Regions worked on at once in this process: one per core, or one where a GPU does the work.

    The last bits of a convolution depend on how many threads share it. So on a CPU each region is
    mapped by one thread, here as in worker processes, and the cores share the regions instead.
    """
    return 1 if torch.cuda.is_available() else CPU_COUNT


def _model(folder: Path) -> NetworkPredictor:
    torch.set_num_threads(1)
    with _loading:
        return _load(folder)


@lru_cache(maxsize=1)
def _load(folder: Path) -> NetworkPredictor:
    return load_model(folder)


_loading = Lock()
