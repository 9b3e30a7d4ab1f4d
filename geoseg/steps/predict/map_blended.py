"""Windows that blend: their probabilities are averaged where they overlap."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from geoseg.classes import IGNORE
from geoseg.grid import Tile
from geoseg.models.run.decide import layers
from geoseg.models.run.predictor import Layers, ProbabilityPredictor
from geoseg.steps.predict.region_pixels import RegionPixels

if TYPE_CHECKING:
    from torch import Tensor


def map_blended(view: RegionPixels, predictor: ProbabilityPredictor) -> tuple[Layers, int]:
    """Map a region as `map_cores` does, but average windows where they overlap.

    A window's weight rises linearly from its edge over twice the halo, so it is 1/2 where its core
    ends and the weights of two neighbours add up to 1. Windows are added row by row: float sums
    depend on their order, and it must be the same whatever region a pixel is in.

    Args:
        view: the pixels of the region.
        predictor: the network.

    Returns:
        As `map_cores`.

    Raises:
        ModelError: the predictor fails on a window; names the window.
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
    assert total is not None, "regions without a pixel to map are skipped"
    # Where all windows were skipped the weight is 0; those pixels are set to nodata below.
    total /= weight.clamp_min(torch.finfo(weight.dtype).tiny)
    values = layers(total, predictor.settings).numpy()
    values[:, ~view.wanted] = IGNORE
    return values, mapped


def weights(tile: Tile) -> NDArray[np.float32]:
    """Weights (height, width) of a window with its context: 1 in the middle, falling outwards."""
    rows = _ramp(
        tile.core.row - tile.read.row, tile.read.height, tile.read.stop[0], tile.core.stop[0]
    )
    cols = _ramp(
        tile.core.col - tile.read.col, tile.read.width, tile.read.stop[1], tile.core.stop[1]
    )
    return np.minimum.outer(rows, np.ones_like(cols)) * cols


def _ramp(before: int, side: int, read_stop: int, core_stop: int) -> NDArray[np.float32]:
    """Weights along one side; without context, as at the edge of a scene, there is no ramp."""
    at = np.arange(side, dtype=np.float32) + 0.5
    ramp = np.ones(side, dtype=np.float32)
    for context, distance in ((before, at), (read_stop - core_stop, side - at)):
        if context > 0:
            ramp = np.minimum(ramp, distance / (2 * context))
    return ramp
