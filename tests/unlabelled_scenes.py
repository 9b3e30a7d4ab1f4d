"""A scene without labels, and labels for it by brightness."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from small_scene import NORTH_UP, MakeRaster

import geoseg

ELSEWHERE = NORTH_UP @ Affine.translation(4000, 2000)
QUICK = geoseg.TrainOptions(architecture="fcn", epochs=3, batch=4)


def write_far_scene(folder: Path, make_raster: MakeRaster) -> Path:
    """80 x 112 px 2 km away: land, a building of 1200 px, and 34 x 36 px without data."""
    rng = np.random.default_rng(11)
    pixels = rng.integers(800, 1200, (3, 80, 112), dtype=np.uint16)
    pixels[:, 36:66, 20:60] += 2000
    pixels[:, :34, :36] = 0
    return make_raster(folder / "far.tif", pixels, nodata=0, transform=ELSEWHERE)


def bright(images: NDArray[Any], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """A building where it is bright, land where it is dark in even columns, else unsure."""
    found = np.where(images[:, 0] > 2000, 1, 255).astype(np.uint8)
    found[..., ::2] = np.where(found[..., ::2] == 1, 1, 0)
    return found
