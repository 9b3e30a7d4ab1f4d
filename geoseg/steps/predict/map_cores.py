"""Windows that own their pixels: each answers for its core alone."""

from __future__ import annotations

import numpy as np

from geoseg.classes import IGNORE
from geoseg.models.run.predictor import Layers, Predictor
from geoseg.steps.predict.region_view import View


def map_owned(view: View, predictor: Predictor, layers: int = 2) -> tuple[Layers, int]:
    """Map what was read; windows without a pixel to map never reach the predictor.

    Args:
        view: what was read.
        predictor: the model.
        layers: how many layers it gives.

    Returns:
        (layers, height, width): class ids, confidence in percent and so on, 255 where nothing was
        to be mapped; and how many windows were mapped.

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
