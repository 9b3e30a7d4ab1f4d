"""The pixels of a window, and the protocol of everything that reads windows of a raster."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
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
    """The pixels of a window, which of them are measurements, and where they lie.

    Attributes:
        pixels: (bands, height, width), as stored; arbitrary where ``valid`` is False.
        valid: (height, width); False for nodata, NaN, infinity, transparency, masked pixels and
            pixels outside the file. Nothing else in geoseg marks invalid pixels.
        geobox: the grid of the block.

    Raises:
        RasterError: pixels, validity and grid differ in shape.
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
        name: the band's description or colour, or "b1", "b2" ... if the file has neither; numbered
            ("rededge 1", "rededge 2") if several bands of the file share it.
        nodata: the value that means "no data" in this band; None if there is none, or if it is
            NaN, which is never valid.
    """

    name: str
    nodata: float | None = None


@runtime_checkable
class RasterSource(Protocol):
    """A raster that is read window by window: files, stacks, other grids, arrays.

    Sources are values: they can be pickled, and read by several threads and processes at once.
    """

    @property
    def name(self) -> str:
        """Its name in messages."""
        ...

    @property
    def geobox(self) -> GeoBox:
        """Its grid."""
        ...

    @property
    def bands(self) -> tuple[Band, ...]:
        """Its bands, in reading order; no two have the same name."""
        ...

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of its pixels."""
        ...

    @property
    def paths(self) -> tuple[Place, ...]:
        """The files it reads, including sidecars."""
        ...

    def take(self, positions: tuple[int, ...]) -> RasterSource:
        """The same source with only the bands at these positions, counted from 0."""
        ...

    def read(self, window: Window) -> Block:
        """Read a window; pixels outside the source are not valid."""
        ...


def repeated(names: Sequence[str]) -> list[str]:
    """The names that occur more than once, in order."""
    return [name for name, times in Counter(names).items() if times > 1]


def unique_names(names: Sequence[str]) -> tuple[str, ...]:
    """Number the names that occur more than once, so that a band can be found by its name.

    Example:
        >>> unique_names(["red", "rededge", "rededge", "rededge 2"])
        ('red', 'rededge 1', 'rededge 3', 'rededge 2')
    """
    several = set(repeated(names))
    taken = set(names) - several
    found = []
    for name in names:
        free = name
        if name in several:
            numbered = (f"{name} {number}" for number in count(1))
            free = next(each for each in numbered if each not in taken)
        taken.add(free)
        found.append(free)
    return tuple(found)


def validity(pixels: Pixels, nodata: tuple[float | None, ...]) -> Mask:
    """Find the pixels that hold a measurement in every band.

    NaN and infinity in any band make a pixel invalid. A nodata value does so in any band of a
    signed or floating type, where it is a number that no sensor returns (-9999). In unsigned
    types, where 0 and 255 are also dark water and white roofs, all bands must hold it, as in
    GDAL's dataset mask.

    Args:
        pixels: (bands, height, width).
        nodata: nodata value of each band, or None.

    Returns:
        (height, width).
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
    """Extend a block to a window that reaches outside its source; pixels there are not valid.

    Args:
        inside: the block of the part inside the source; None if there is none.
        window: the window asked for.
        source: the source.
        at: the window of ``inside``.
    """
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
