"""Pixels in, map layers out."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import ClassScheme
from geoseg.grid import Window
from geoseg.raster.block import Mask, Pixels

type Layers = NDArray[np.uint8]


@runtime_checkable
class Predictor(Protocol):
    """Maps a window to layers; it travels to worker processes, so it can be pickled."""

    @property
    def stride(self) -> int:
        """Windows start, and their sides are, at multiples of it."""
        ...

    @property
    def halo(self) -> int:
        """Pixels of context it wants around what is kept."""
        ...

    @property
    def scheme(self) -> ClassScheme:
        """The classes it maps."""
        ...

    @property
    def fingerprint(self) -> str:
        """The same for predictors that give the same bytes, and for no others."""
        ...

    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """Class ids, confidence in percent and, if it has them, percent by class.

        Args:
            pixels: (bands, height, width), as stored; meaningless where not valid.
            valid: (height, width).
            core: the part of the window that is kept.

        Returns:
            (2 or more, core.height, core.width).
        """
        ...
