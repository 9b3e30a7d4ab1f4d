"""An array in memory as a raster source."""

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
    """A block of an `ArraySource`: pixels (1, height, width), valid (height, width)."""

    pixels: NDArray[Any]
    valid: NDArray[np.bool_]


@dataclass(frozen=True, slots=True, eq=False)
class ArraySource:
    """One band in memory, all of it valid, placed on a grid.

    Attributes:
        array: (height, width) pixel values.
        geobox: its grid, of the same shape.
        name: its name in error messages.

    Example:
        >>> import geoseg
        >>> import numpy as np
        >>> from affine import Affine
        >>> from odc.geo.geobox import GeoBox
        >>> classes = np.array([[1, 1, 7], [1, 255, 7]], dtype=np.uint8)
        >>> geobox = GeoBox((2, 3), Affine(10, 0, 500_000, 0, -10, 5_000_000), "EPSG:32633")
        >>> (regions,) = geoseg.trace(geoseg.ArraySource(classes, geobox))
        >>> [polygon.area for polygon in regions.geometries]
        [300.0, 200.0]
    """

    array: NDArray[Any]
    geobox: GeoBox
    name: str = "array"

    def read(self, window: Window) -> Pixels:
        """Read a window inside the array."""
        pixels = self.array[window.slices]
        return Pixels(pixels[None], np.ones(pixels.shape, np.bool_))
