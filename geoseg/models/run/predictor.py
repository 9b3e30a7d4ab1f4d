"""Pixels in, map layers out: what a predictor has to offer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import ClassScheme
from geoseg.grid import Window
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from torch import Tensor

type Layers = NDArray[np.uint8]
"""(layers, height, width): class ids, confidence in percent, then the percentages of the
classes."""


@runtime_checkable
class Predictor(Protocol):
    """Maps a window of pixels to layers; it is pickled to worker processes."""

    @property
    def stride(self) -> int:
        """Windows start at multiples of it, and their sides are multiples of it."""
        ...

    @property
    def halo(self) -> int:
        """Pixels of context around the core of a window."""
        ...

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal for predictors whose maps have the same bytes, different for all others."""
        ...

    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """Predict a window.

        Args:
            pixels: (bands, height, width), as stored; meaningless where not valid.
            valid: (height, width).
            core: part of the window that is kept, in pixels of the window.

        Returns:
            (2 or more, core.height, core.width): class ids, confidence in percent and, if asked
            for, each class's probability in percent.
        """
        ...


class ProbabilityPredictor(Predictor, Protocol):
    """A predictor whose probabilities can be averaged with those of others."""

    @property
    def settings(self) -> InferenceSettings:
        """Averaging and output layers."""
        ...

    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """Predict a window as (classes, height, width) float32 probabilities that sum to 1.

        Args:
            pixels: (bands, height, width), as stored; meaningless where not valid.
            valid: (height, width).
        """
        ...
