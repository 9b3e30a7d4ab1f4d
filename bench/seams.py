"""Seams: difference between mapping in windows and mapping the whole scene at once.

U-Net/ResNet-18 fitted to the scene, 8 classes, 1536 x 2048 px; disagreement within 8 px of window
borders, and in the rest.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from numpy.typing import NDArray

from bench.maps import FP32, predict
from bench.models import trained_unet
from bench.scene import write_scene

SHAPE = (1536, 2048)
WINDOWS, HALOS = (256, 512), (0, 32, 64)
NEAR = 8


def run(folder: Path) -> Iterator[str]:
    """Compare owned cores and blending, which need the same number of passes."""
    scene = write_scene(folder / "scene.tif", SHAPE)
    model = trained_unet(folder / "model")
    predict(scene, model, folder / "whole", window=max(SHAPE), halo=0, **FP32)
    whole = _classes(folder / "whole")
    yield f"{'':34} {'at borders':>11} {'elsewhere':>11} {'excess':>9}   {'seconds':>7}"
    for window in WINDOWS:
        near = _near(window)
        for halo in HALOS:
            for blend in (False, True) if halo else (False,):
                done = predict(
                    scene, model, folder / "map", window=window, halo=halo, blend=blend, **FP32
                )
                other = _classes(folder / "map") != whole
                along, rest = 100 * other[near].mean(), 100 * other[~near].mean()
                excess = along / rest if rest else float("nan")
                name = f"{window} px, halo {halo:2} px, {'blended' if blend else 'owned'}"
                yield (
                    f"{name:34} {along:9.3f} % {rest:9.3f} % {excess:8.1f} x   {done.seconds:7.1f}"
                )


def _classes(folder: Path) -> NDArray[np.uint8]:
    with rasterio.open(folder / "classes.tif") as dataset:
        return dataset.read(1)


def _near(window: int) -> NDArray[np.bool_]:
    """Mask of pixels within NEAR px of a window border."""
    close = []
    for side in SHAPE:
        at = np.arange(side) + 0.5
        borders = np.arange(window, side, window)
        close.append(np.abs(at[:, None] - borders).min(axis=1) < NEAR)
    return np.logical_or.outer(*close)
