"""Windows that fade into each other: their probabilities are averaged where they overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from geoseg.classes import IGNORE
from geoseg.grid import Tile
from geoseg.models.run.decide import layers
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.predictor import Layers
from geoseg.raster.block import Mask, Pixels
from geoseg.steps.predict.region_view import View

if TYPE_CHECKING:
    from torch import Tensor


class SoftPredictor(Protocol):
    """A predictor that also tells its probabilities."""

    @property
    def settings(self) -> InferenceSettings:
        """What is written."""
        ...

    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """(classes, height, width) float32, summing to 1."""
        ...


def map_blended(view: View, predictor: SoftPredictor) -> tuple[Layers, int]:
    """Map what was read; as `map_owned`, but no pixel belongs to one window alone.

    A window's weight rises linearly from its edge over twice the halo, so that it is 1/2 where its
    core ends. Windows are added row by row, so that every pixel sees them in the same order
    whatever region it is in.
    """
    total: Tensor | None = None
    weight = torch.zeros(view.area.shape)
    mapped = 0
    for tile in view.tiles:
        shared = tile.read.intersect(view.area)
        if shared is None or not view.wanted[shared.relative_to(view.area).slices].any():
            continue
        mapped += 1
        here, there = shared.relative_to(view.area).slices, shared.relative_to(tile.read).slices
        share = torch.from_numpy(weights(tile))[there]
        with view.naming(tile):
            found = predictor.probabilities(*view.pixels_of(tile)).cpu()
        total = torch.zeros((len(found), *view.area.shape)) if total is None else total
        total[:, *here] += found[:, *there] * share
        weight[here] += share
    assert total is not None, "something was to be mapped"
    total /= weight.clamp_min(torch.finfo(weight.dtype).tiny)
    values = layers(total, predictor.settings).numpy()
    values[:, ~view.wanted] = IGNORE
    return values, mapped


def weights(tile: Tile) -> NDArray[np.float32]:
    """(height, width) of the tile's read: 1 in the middle, falling towards what others own."""
    rows = _ramp(
        tile.core.row - tile.read.row, tile.read.height, tile.read.stop[0], tile.core.stop[0]
    )
    cols = _ramp(
        tile.core.col - tile.read.col, tile.read.width, tile.read.stop[1], tile.core.stop[1]
    )
    return np.minimum.outer(rows, np.ones_like(cols)) * cols


def _ramp(before: int, side: int, read_stop: int, core_stop: int) -> NDArray[np.float32]:
    """Weights along one side, rising over twice the context there is at either end."""
    at = np.arange(side, dtype=np.float32) + 0.5
    ramp = np.ones(side, dtype=np.float32)
    for context, distance in ((before, at), (read_stop - core_stop, side - at)):
        if context > 0:
            ramp = np.minimum(ramp, distance / (2 * context))
    return ramp
