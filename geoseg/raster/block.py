"""What every raster source hands over, and the seam they all share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import RasterError
from geoseg.grid import Window
from geoseg.remote import Place

type Pixels = NDArray[Any]
type Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """Pixels, which of them are real, and where they lie.

    Attributes:
        pixels: (bands, height, width), as stored; where ``valid`` is False they mean nothing.
        valid: (height, width); False for nodata, NaN, infinity, transparency, masked pixels and
            pixels outside the file. Validity lives here and nowhere else.
        geobox: the grid of the block.
    """

    pixels: Pixels
    valid: Mask
    geobox: GeoBox

    def __post_init__(self) -> None:
        shape = tuple(self.geobox.shape)
        if self.pixels.shape[1:] != shape or self.valid.shape != shape:
            raise RasterError(
                "a block's pixels, validity and grid differ in shape",
                got=f"{self.pixels.shape}, {self.valid.shape}, {shape}",
            )


@dataclass(frozen=True, slots=True)
class Band:
    """A band of a source.

    Attributes:
        name: the band's description, its colour, or "b1", "b2" ... where the file says neither.
        nodata: the value that means "no data" here, if any.
    """

    name: str
    nodata: float | None = None


@runtime_checkable
class RasterSource(Protocol):
    """Anything with a grid and bands that can read a window.

    Sources are values: they pickle, and reading from several threads or processes is safe.
    """

    @property
    def name(self) -> str:
        """What to call it in messages."""
        ...

    @property
    def geobox(self) -> GeoBox:
        """Its grid."""
        ...

    @property
    def bands(self) -> tuple[Band, ...]:
        """Its bands, in reading order."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its pixels."""
        ...

    @property
    def paths(self) -> tuple[Place, ...]:
        """The files it reads, sidecars included."""
        ...

    def take(self, positions: tuple[int, ...]) -> RasterSource:
        """The same source with only the bands at these positions, counted from 0."""
        ...

    def read(self, window: Window) -> Block:
        """Read a window; what lies outside the source is not valid."""
        ...


def validity(pixels: Pixels, nodata: tuple[float | None, ...]) -> Mask:
    """Which pixels of (bands, height, width) hold a measurement in every band.

    NaN and infinity in any band make a pixel invalid. A nodata value does so in any band of a
    signed or floating type, where it is a number no sensor returns (-9999); in unsigned types,
    where 0 and 255 are also dark water and white roofs, all bands must hold it, as in GDAL's
    dataset mask.
    """
    valid = np.ones(pixels.shape[1:], dtype=bool)
    if np.issubdtype(pixels.dtype, np.inexact):
        valid &= np.isfinite(pixels).all(axis=0)
    marked = [
        band == value for band, value in zip(pixels, nodata, strict=True) if value is not None
    ]
    if not marked:
        return valid
    nothing = np.logical_or.reduce(marked)
    if np.issubdtype(pixels.dtype, np.unsignedinteger):
        nothing = np.logical_and.reduce(marked) & (len(marked) == len(pixels))
    valid &= ~nothing
    return valid


def paste(inside: Block | None, window: Window, source: RasterSource, at: Window) -> Block:
    """Lay ``inside``, read at ``at``, into a block of ``window`` that is invalid elsewhere."""
    geobox = grid.crop(source.geobox, window)
    if inside is not None and at == window:
        return Block(inside.pixels, inside.valid, geobox)
    pixels = np.zeros((len(source.bands), *window.shape), dtype=source.dtype)
    valid = np.zeros(window.shape, dtype=bool)
    if inside is not None:
        rows, cols = at.relative_to(window).slices
        pixels[:, rows, cols] = inside.pixels
        valid[rows, cols] = inside.valid
    return Block(pixels, valid, geobox)
