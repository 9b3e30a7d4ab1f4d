"""Windows that own their pixels: each gives the map its core and nothing else."""

from __future__ import annotations

import numpy as np

from geoseg.classes import IGNORE
from geoseg.models.run.predictor import Layers, Predictor
from geoseg.steps.predict.region_pixels import RegionPixels


def map_cores(view: RegionPixels, predictor: Predictor, layers: int = 2) -> tuple[Layers, int]:
    """Map a region window by window; windows without a pixel to map never reach the predictor.

    Args:
        view: the pixels of the region.
        predictor: the model.
        layers: number of layers that it gives.

    Returns:
        (layers, height, width): class ids, confidence in percent and so on, 255 where there was
        nothing to map; and the number of windows that were mapped.

    Raises:
        ModelError: the predictor fails on a window; names the window.
    """
    values = np.full((layers, *view.area.shape), IGNORE, dtype=np.uint8)
    mapped = 0
    for tile in view.tiles:
        here = tile.core.relative_to(view.area).slices
        if not view.wanted[here].any():
            continue
        mapped += 1
        with view.naming(tile):
            values[:, *here] = predictor(*view.pixels_of(tile), tile.core.relative_to(tile.read))
    values[:, ~view.wanted] = IGNORE
    return values, mapped
