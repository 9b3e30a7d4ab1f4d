"""Rasters as pictures on a frame."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image

from geoseg import grid
from geoseg.classes import IGNORE, ClassScheme
from geoseg.grid import Window
from geoseg.raster import Band, Block, FileSource, RasterSource, WarpSource
from geoseg.raster.block import paste
from geoseg.raster.drivers import driver_of
from geoseg.remote import Place
from geoseg.render import photo, true_colour
from geoseg.report.mercator_frame import Frame

MOST_PX = 4096
"""Longest side of a picture: what the graphics chips of phones take as one texture."""
SPARE = 1.25
"""How much finer than its picture a raster is read."""
QUALITY = 82
"""Of the compressed scene; what is lost cannot be seen at this size."""


@dataclass(frozen=True)
class Picture:
    """A picture.

    Attributes:
        media: its media type.
        data: the file.
        shape: (height, width).
    """

    media: str
    data: bytes
    shape: tuple[int, int]

    @property
    def uri(self) -> str:
        """The file as an address that holds it."""
        return f"data:{self.media};base64,{base64.b64encode(self.data).decode()}"


@dataclass(frozen=True, eq=False)
class HeldSource:
    """A block in memory as a source.

    Attributes:
        block: pixels, validity and grid.
        bands: names of the bands.
        name: what to call it.
    """

    block: Block
    bands: tuple[Band, ...]
    name: str

    @property
    def geobox(self) -> GeoBox:
        """The grid of the block."""
        return self.block.geobox

    @property
    def dtype(self) -> np.dtype[Any]:
        """The type of its pixels."""
        return self.block.pixels.dtype

    @property
    def paths(self) -> tuple[Place, ...]:
        """None: it stands in memory."""
        return ()

    def take(self, positions: tuple[int, ...]) -> HeldSource:
        """The same block with only these bands."""
        block = replace(self.block, pixels=self.block.pixels[list(positions)])
        return HeldSource(block, tuple(self.bands[p] for p in positions), self.name)

    def read(self, window: Window) -> Block:
        """Read a window; what lies outside the block is not valid."""
        at = window.intersect(grid.whole(self.geobox.shape))
        if at is None:
            return paste(None, window, self, window)
        rows, cols = at.slices
        pixels, valid = self.block.pixels[:, rows, cols], self.block.valid[rows, cols]
        return paste(Block(pixels, valid, grid.crop(self.geobox, at)), window, self, at)


def shrunk(source: RasterSource, most_px: int) -> RasterSource:
    """A source on a coarser grid, read through the overviews of its file where it is large.

    Memory follows ``most_px``, whatever the file.
    """
    factor = max(source.geobox.shape) / (most_px * SPARE)
    if factor <= 1 or not isinstance(source, FileSource) or not isinstance(source.path, Path):
        return source
    height, width = (max(1, round(side / factor)) for side in source.geobox.shape)
    numbers = list(source.select) or [i + 1 for i in range(len(source.bands))]
    with rasterio.open(source.path.absolute(), driver=driver_of(source.path)) as dataset:
        pixels = dataset.read(numbers, out_shape=(len(numbers), height, width))
        valid = dataset.dataset_mask(out_shape=(height, width)) >= 128
    down, across = source.geobox.shape[0] / height, source.geobox.shape[1] / width
    affine = source.geobox.affine @ type(source.geobox.affine).scale(across, down)
    geobox = GeoBox((height, width), affine, source.geobox.crs)
    return HeldSource(Block(pixels, valid, geobox), source.bands, source.name)


def class_ids(source: RasterSource, frame: Frame) -> NDArray[np.uint8]:
    """Class ids on a frame, (height, width); 255 where there is none."""
    small = shrunk(source, max(frame.geobox.shape))
    warped = WarpSource(small, frame.geobox, "mode" if frame.shrunk > 1 else "nearest")
    block = warped.read(grid.whole(frame.geobox.shape))
    ids: NDArray[np.uint8] = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8)
    return ids


def class_picture(ids: NDArray[np.uint8], scheme: ClassScheme) -> Picture:
    """Class ids as a PNG with a palette: entry i is class i, the one after the last is nothing.

    Whoever shows it switches a class off by its opacity in the palette.
    """
    nothing = len(scheme.classes)
    indexes = np.where(ids < nothing, ids, nothing).astype(np.uint8)
    colours = [each.rgba for each in scheme.classes] + [(0, 0, 0, 0)]
    image = Image.fromarray(indexes)
    image.putpalette([channel for colour in colours for channel in colour[:3]])
    opacity = bytes(colour[3] for colour in colours)
    return _saved(image, "PNG", transparency=opacity, bits=8, optimize=False)


def scene_picture(source: RasterSource, frame: Frame) -> Picture:
    """A scene in its own colours, stretched; what is not valid is transparent."""
    picked = source.take(true_colour([band.name for band in source.bands]))
    warped = WarpSource(shrunk(picked, max(frame.geobox.shape)), frame.geobox, "average")
    block = warped.read(grid.whole(frame.geobox.shape))
    colours = photo(block.pixels, block.valid)
    if block.valid.all():
        image = Image.fromarray(colours)
    else:
        opacity = np.where(block.valid, 255, 0).astype(np.uint8)[..., None]
        image = Image.fromarray(np.concatenate([colours, opacity], axis=2))
    return _saved(image, "WEBP", quality=QUALITY, method=4)


def _saved(image: Image.Image, kind: str, **settings: Any) -> Picture:
    stream = io.BytesIO()
    image.save(stream, kind, **settings)
    width, height = image.size
    return Picture(f"image/{kind.lower()}", stream.getvalue(), (height, width))
