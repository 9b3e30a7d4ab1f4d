"""Maps of several scenes, each on its own grid, to one map: warped once, the surest class wins."""

from __future__ import annotations

import logging
import math
import warnings
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo import CRS
from odc.geo.geobox import GeoBox
from odc.geo.geom import BoundingBox
from pyproj.exceptions import CRSError

from geoseg import files, grid
from geoseg.classes import IGNORE
from geoseg.errors import GridError, RasterError
from geoseg.grid import Window
from geoseg.maps.open_map import CLASSES, CONFIDENCE
from geoseg.raster import FileSource, RasterSource, StackSource, WarpSource
from geoseg.raster.cog import BLOCK, encode_part
from geoseg.steps.predict.region import part_name

LAYERS = (CLASSES, CONFIDENCE)
MAX_SIDE = 10_000_000
"""Pixels along a side of a mosaic: the Earth's equator at 4 m."""

ALIKE = 0.02
"""Pixel sizes that differ by less on the ground are the same number, as 10 m in UTM and LAEA."""

logger = logging.getLogger(__name__)


def target_grid(text: str, boxes: Sequence[GeoBox]) -> GeoBox:
    """The grid of a mosaic.

    Args:
        text: a CRS, "EPSG:3035"; a CRS and a pixel size in its units, "EPSG:3035@10"; or a raster
            file whose grid is taken as it is. Without a size, pixels are as fine as the finest of
            ``boxes`` on the ground.
        boxes: the grids of the scenes, at least one; the mosaic covers them all, and its edges lie
            on whole multiples of the pixel size.

    Raises:
        GridError: neither a file nor a CRS, no pixel size, or a CRS that does not cover a scene.

    Example:
        >>> scene = GeoBox.from_bbox((500_000, 4_999_110, 501_190, 5_000_000), 32632, resolution=10)
        >>> target_grid("EPSG:32632@20", [scene]).shape
        Shape2d(x=60, y=45)
    """
    if Path(text).is_file():
        return FileSource(Path(text)).geobox
    name, at, number = text.rpartition("@") if "@" in text else (text, "", "")
    crs = _crs(name, text)
    frames = [_frame(box, crs) for box in boxes]
    pixel = _number(number, text) if at else min(_pixel(box, crs) for box in boxes)
    left, bottom = min(each.left for each in frames), min(each.bottom for each in frames)
    right, top = max(each.right for each in frames), max(each.top for each in frames)
    if max(right - left, top - bottom) / pixel > MAX_SIDE:
        raise GridError(
            "the mosaic would be out of all proportion",
            where=text,
            got=f"{(top - bottom) / pixel:.3g} x {(right - left) / pixel:.3g} px",
            fix=f"name a larger pixel, in units of {crs}, or leave out scenes that lie far away",
        )
    return GeoBox.from_bbox(BoundingBox(left, bottom, right, top, crs), resolution=pixel)


@dataclass(frozen=True)
class MosaicTask:
    """A region of a mosaic.

    Attributes:
        maps: the map folders that reach it; of equal confidence, the earlier one wins.
        geobox: the grid of the whole mosaic.
        area: the pixels to fill.
        layers: for each band of the part, the file of the map that it comes from, without .tif;
            a file of several bands stands several times.
        folder: where the part goes.
    """

    maps: tuple[Path, ...]
    geobox: GeoBox
    area: Window
    layers: tuple[str, ...]
    folder: Path

    @property
    def name(self) -> str:
        """File name of the part."""
        return part_name(self.area)


def plan_mosaic(
    maps: Sequence[Path],
    geobox: GeoBox,
    region: int,
    folder: Path,
    layers: tuple[str, ...] = LAYERS,
) -> list[MosaicTask]:
    """The regions of a mosaic, row by row, each with the maps that reach it.

    Args:
        maps: finished map folders.
        geobox: the grid of the mosaic.
        region: side of a region, a multiple of 512.
        folder: where the parts go.
        layers: as `MosaicTask` has them.
    """
    if region % BLOCK:
        raise GridError(
            "a region is made of whole blocks", got=region, wanted=f"a multiple of {BLOCK}"
        )
    reach: dict[tuple[int, int], list[Path]] = defaultdict(list)
    whole = grid.whole(geobox.shape)
    for path in maps:
        source = FileSource(path / f"{CLASSES}.tif").geobox
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


def map_mosaic(task: MosaicTask) -> tuple[str, dict[str, Any]]:
    """Fill a region of a mosaic and write its part.

    Each pixel takes all its layers from the map that is surest of it, there from the pixel under
    its centre.

    Returns:
        The part's sha256, and how many blocks were filled and skipped and pixels each value has.
    """
    maps = [WarpSource(_stack(path, task.layers), task.geobox, "nearest") for path in task.maps]
    values = np.full((len(task.layers), *task.area.shape), IGNORE, dtype=np.uint8)
    filled = 0
    # Block by block, whatever the region: where a centre falls between two pixels, GDAL takes one
    # or the other by the window it looks at.
    blocks = list(grid.split(task.area, BLOCK))
    for block in blocks:
        here = values[(..., *block.relative_to(task.area).slices)]
        filled += _fill(here, maps, block, task.layers.index(CONFIDENCE))
    pixels = np.bincount(values[task.layers.index(CLASSES)].ravel(), minlength=256)
    data = encode_part(values, grid.crop(task.geobox, task.area))
    return files.write_bytes(task.folder / task.name, data), {
        "mapped": filled,
        "skipped": len(blocks) - filled,
        "unchanged": 0,
        "pixels": {int(value): int(pixels[value]) for value in np.flatnonzero(pixels)},
        "content": "",
    }


def _fill(
    values: NDArray[np.uint8], maps: Sequence[RasterSource], area: Window, confidence: int
) -> bool:
    """Fill (layers, height, width) and say whether any map has a pixel there."""
    best = np.full(area.shape, -1, dtype=np.int16)
    for each in maps:
        block = each.read(area)
        sure = block.pixels[confidence].astype(np.int16)
        wins = block.valid & (sure > best)
        values[:, wins] = block.pixels[:, wins]
        best[wins] = sure[wins]
    return bool((best >= 0).any())


def _stack(folder: Path, layers: tuple[str, ...]) -> StackSource:
    """The layers of a map as the bands of one source, so that all come from the same pixel."""
    sources = []
    for layer in dict.fromkeys(layers):
        path, count = folder / f"{layer}.tif", layers.count(layer)
        bands = len(FileSource(path).bands)
        if bands != count:
            raise RasterError(
                "has other bands than the mosaic",
                where=path,
                got=bands,
                wanted=count,
                fix="make all maps with the same model and options",
            )
        names = tuple(f"{layer} {number}" for number in range(count))
        sources.append(FileSource(path, names=names))
    return StackSource(str(folder), tuple(sources), "nearest")


def _reach(source: GeoBox, geobox: GeoBox) -> Window:
    """The pixels of ``geobox`` that a scene may fill, and a few more."""
    frame = _frame(source, grid.crs_of(geobox)).transform(~geobox.affine)
    row, col = math.floor(frame.bottom) - 1, math.floor(frame.left) - 1
    return Window(row, col, math.ceil(frame.top) + 1 - row, math.ceil(frame.right) + 1 - col)


def _frame(box: GeoBox, crs: CRS) -> BoundingBox:
    with _quiet():
        frame = box.footprint(crs).boundingbox
    if not all(map(math.isfinite, frame.bbox)):
        raise GridError(
            "the CRS does not reach a scene",
            where=str(crs),
            got=f"a scene in {box.crs}",
            fix="name a CRS made for that part of the world",
        )
    return frame


def _pixel(box: GeoBox, crs: CRS) -> float:
    """A scene's pixel size in units of ``crs``; its own number where that is as good."""
    with _quiet():
        fit = abs(float(box.to_crs(crs, resolution="fit").resolution.y))
    own = abs(float(box.resolution.y))
    return own if math.isclose(own, fit, rel_tol=ALIKE) else fit


def _number(text: str, where: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise GridError(
            "the pixel size is no length", where=where, got=text or "nothing", wanted="EPSG:3035@10"
        )
    return number


def _crs(text: str, where: str) -> CRS:
    try:
        crs = CRS(text)
    except CRSError as error:
        raise GridError(
            "is neither a raster file nor a CRS", where=where, wanted="EPSG:3035 or EPSG:3035@10"
        ) from error
    if not (crs.geographic or crs.projected):
        raise GridError("is no CRS of maps", where=where, got=crs.proj.type_name)
    return crs


@contextmanager
def _quiet() -> Iterator[None]:
    """odc-geo projects outlines with a function that newer shapely versions call old."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        yield
