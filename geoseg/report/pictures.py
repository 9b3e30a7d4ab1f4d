"""Rasters as PNG and WebP pictures on a frame."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from PIL import Image

from geoseg import grid
from geoseg.classes import IGNORE, ClassScheme
from geoseg.raster import Block, FileSource, RasterSource, WarpSource
from geoseg.raster.drivers import driver_of
from geoseg.render import photo, true_colour
from geoseg.report.block_source import BlockSource
from geoseg.report.mercator_frame import Frame

MOST_PX = 4096
"""Longest side of a picture: the largest texture that graphics chips of phones take."""
OVERSAMPLING = 1.25
"""Pixels read per pixel of the picture, along a side: at 1, warping would drop pixels."""
QUALITY = 82
"""WebP quality of the scene; at this size its losses are not visible."""


@dataclass(frozen=True)
class Picture:
    """An encoded picture.

    Attributes:
        media: media type.
        data: the encoded file.
        shape: (height, width).
    """

    media: str
    data: bytes
    shape: tuple[int, int]

    @property
    def uri(self) -> str:
        """The file as a data URL."""
        return f"data:{self.media};base64,{base64.b64encode(self.data).decode()}"


def shrunk(source: RasterSource, most_px: int) -> RasterSource:
    """Read a large file on a coarser grid, through its overviews.

    Memory grows with ``most_px``, not with the file. Sources that are small, or are not files of
    this machine, are returned as they are.

    Args:
        source: the raster.
        most_px: longest side of the picture to make of it.
    """
    factor = max(source.geobox.shape) / (most_px * OVERSAMPLING)
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
    return BlockSource(Block(pixels, valid, geobox), source.bands, source.name)


def class_ids(source: RasterSource, frame: Frame) -> NDArray[np.uint8]:
    """Class ids on a frame, (height, width); 255 where nothing is mapped.

    Raises:
        RasterError: the raster cannot be read.
    """
    small = shrunk(source, max(frame.geobox.shape))
    warped = WarpSource(small, frame.geobox, "mode" if frame.shrunk > 1 else "nearest")
    block = warped.read(grid.whole(frame.geobox.shape))
    ids: NDArray[np.uint8] = np.where(block.valid, block.pixels[0], IGNORE).astype(np.uint8)
    return ids


def class_picture(ids: NDArray[np.uint8], scheme: ClassScheme) -> Picture:
    """Encode class ids as a PNG with a palette; the entry after the last class is transparent.

    The page switches a class off by editing the opacity of its palette entry (the tRNS chunk),
    which is why no optimizer may reorder the palette.

    Args:
        ids: (height, width) class ids, 255 where nothing is mapped.
        scheme: the classes.
    """
    nothing = len(scheme.classes)
    indexes = np.where(ids < nothing, ids, nothing).astype(np.uint8)
    colours = [each.rgba for each in scheme.classes] + [(0, 0, 0, 0)]
    image = Image.fromarray(indexes)
    image.putpalette([channel for colour in colours for channel in colour[:3]])
    opacity = bytes(colour[3] for colour in colours)
    return _saved(image, "PNG", transparency=opacity, bits=8, optimize=False)


def scene_picture(source: RasterSource, frame: Frame) -> Picture:
    """Encode a scene in true colour, stretched, with invalid pixels transparent.

    Raises:
        RasterError: the scene cannot be read.
    """
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
