"""An array in the place of a raster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoseg.grid import Window

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


@dataclass(frozen=True, slots=True, eq=False)
class Pixels:
    """The block of an `ArraySource`."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """One band in memory, all of it valid.

    Attributes:
        array: (height, width).
        geobox: its grid.
        name: what to call it in messages.

    Example:
        >>> from affine import Affine
        >>> from odc.geo.geobox import GeoBox
        >>> source = ArraySource(np.zeros((2, 3)), GeoBox((2, 3), Affine.identity(), None))
        >>> source.read(Window(0, 1, 2, 2)).pixels.shape
        (1, 2, 2)
    """

    array: NDArray[Any]
    geobox: GeoBox
    name: str = "array"

    def read(self, window: Window) -> Pixels:
        """Read a window inside the array."""
        pixels = self.array[window.slices]
        return Pixels(pixels[None], np.ones(pixels.shape, np.bool_))
