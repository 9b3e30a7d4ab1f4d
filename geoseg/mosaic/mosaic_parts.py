"""The parts of a mosaic: each pixel is taken from the map with the highest confidence there."""

from __future__ import annotations

import logging
import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.errors import GridError, RasterError
from geoseg.grid import Window
from geoseg.layout import CLASSES, CONFIDENCE, map_part
from geoseg.maps.map_parts import rows_and_columns, write_part
from geoseg.mosaic.mosaic_grid import frame_in
from geoseg.raster import FileSource, RasterSource, StackSource, WarpSource
from geoseg.raster.cog import BLOCK

LAYERS = (CLASSES, CONFIDENCE)
"""The files that every map has, in the order of the bands of a part."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class MosaicTask:
    """A region of a mosaic.

    Attributes:
        maps: the map directories that reach it; where two are equally confident, the first wins.
        geobox: the grid of the whole mosaic.
        area: the pixels to fill.
        layers: for each band of the part, the name of the map's file that holds it; repeated for
            a file of several bands.
        folder: the directory to write the part into.
    """

    maps: tuple[Path, ...]
    geobox: GeoBox
    area: Window
    layers: tuple[str, ...]
    folder: Path

    @property
    def name(self) -> str:
        """File name of the part."""
        return map_part(self.area)

    def __str__(self) -> str:
        return f"mosaic, {rows_and_columns(self.area)}"


def mosaic_tasks(
    maps: Sequence[Path],
    geobox: GeoBox,
    region: int,
    folder: Path,
    layers: tuple[str, ...] = LAYERS,
) -> list[MosaicTask]:
    """The regions of a mosaic, row by row, each with the maps that reach it.

    Args:
        maps: directories of finished maps.
        geobox: the grid of the mosaic.
        region: side of a region in pixels, a multiple of 512.
        folder: the directory to write the parts into.
        layers: see `MosaicTask`.

    Raises:
        GridError: the region is not made of whole blocks, or the CRS does not cover a map.
    """
    if region % BLOCK:
        raise GridError(
            "a region must be made of whole blocks", got=region, wanted=f"a multiple of {BLOCK}"
        )
    reach: dict[tuple[int, int], list[Path]] = defaultdict(list)
    whole = grid.whole(geobox.shape)
    for path in maps:
        source = FileSource(path / CLASSES).geobox
        names = grid.crs_of(source).proj.name, grid.crs_of(geobox).proj.name
        logger.info("%s is warped with nearest: %s to %s", path, *names)
        seen = _reach(source, geobox).intersect(whole)
        if seen is None:
            continue
        for row in range(seen.row // region, (seen.stop[0] - 1) // region + 1):
            for col in range(seen.col // region, (seen.stop[1] - 1) // region + 1):
                reach[row, col].append(path)
    return [
        MosaicTask(
            tuple(reach[area.row // region, area.col // region]), geobox, area, layers, folder
        )
        for area in grid.split(whole, region)
    ]


def fill_part(task: MosaicTask) -> tuple[str, dict[str, Any]]:
    """Fill a region of a mosaic and write its part.

    All layers of a pixel come from one map: the one with the highest confidence there, from its
    pixel under the centre of the mosaic's.

    Returns:
        The part's sha256, and its facts for the ledger.

    Raises:
        RasterError: a map has other layers than the mosaic.
    """
    # Nearest: class ids cannot be interpolated, and confidence belongs to the class of its pixel.
    maps = [WarpSource(_stack(path, task.layers), task.geobox, "nearest") for path in task.maps]
    values = np.full((len(task.layers), *task.area.shape), IGNORE, dtype=np.uint8)
    filled = 0
    # Block by block, whatever the region: where a centre falls between two pixels, GDAL takes one
    # or the other depending on the window that it reads, and regions must not change a byte.
    blocks = list(grid.split(task.area, BLOCK))
    for block in blocks:
        here = values[(..., *block.relative_to(task.area).slices)]
        filled += _fill(here, maps, block, task.layers.index(CONFIDENCE))
    geobox = grid.crop(task.geobox, task.area)
    skipped = len(blocks) - filled
    return write_part(task.folder / task.name, values, geobox, mapped=filled, skipped=skipped)


def _fill(
    values: NDArray[np.uint8], maps: Sequence[RasterSource], area: Window, confidence: int
) -> bool:
    """Fill (layers, height, width) of an area; return whether any map has a pixel there."""
    best = np.full(area.shape, -1, dtype=np.int16)  # below a confidence of 0 %
    for each in maps:
        block = each.read(area)
        sure = block.pixels[confidence].astype(np.int16)
        wins = block.valid & (sure > best)  # not >=: of equals the first stays
        values[:, wins] = block.pixels[:, wins]
        best[wins] = sure[wins]
    return bool((best >= 0).any())


def _stack(folder: Path, layers: tuple[str, ...]) -> StackSource:
    """The layers of a map as the bands of one source, so that all come from the same pixel."""
    sources = []
    for layer in dict.fromkeys(layers):
        path, count = folder / layer, layers.count(layer)
        bands = len(FileSource(path).bands)
        if bands != count:
            raise RasterError(
                "has another number of bands than the mosaic",
                where=path,
                got=bands,
                wanted=count,
                fix="make all maps with the same model and options",
            )
        names = tuple(f"{layer} {number}" for number in range(count))
        sources.append(FileSource(path, names=names))
    return StackSource(str(folder), tuple(sources), "nearest")


def _reach(source: GeoBox, geobox: GeoBox) -> Window:
    """The pixels of ``geobox`` that a map may fill.

    One more on each side: the outline is projected point by point, the pixels one by one.
    """
    frame = frame_in(source, grid.crs_of(geobox)).transform(~geobox.affine)
    row, col = math.floor(frame.bottom) - 1, math.floor(frame.left) - 1
    return Window(row, col, math.ceil(frame.top) + 1 - row, math.ceil(frame.right) + 1 - col)
