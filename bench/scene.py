"""Scenes of any size, written block by block: 8 kinds of land, 4 bands uint16, tiled, deflate."""

from functools import cache
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

AFFINE = Affine(10, 0, 5e5, 0, -10, 5e6)
CRS = "EPSG:32633"
BANDS = ("blue", "green", "red", "nir")
CLASSES = 8
MEAN, STD = 1000.0, 300.0
PERIOD = 2048
"""The pattern of land repeats after so many pixels; the noise does not."""


def write_scene(path: Path, shape: tuple[int, int]) -> Path:
    """Write a scene of ``shape`` (height, width)."""
    height, width = shape
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", count=len(BANDS), height=height, width=width, dtype="uint16",
        crs=CRS, transform=AFFINE, tiled=True, blockxsize=512, blockysize=512, compress="deflate",
        predictor=2, num_threads=2, bigtiff="if_safer",
    ) as dataset:  # fmt: skip
        dataset.descriptions = BANDS
        for row in range(0, height, PERIOD):
            for col in range(0, width, PERIOD):
                tall, wide = min(PERIOD, height - row), min(PERIOD, width - col)
                pixels = pixels_of(land()[:tall, :wide], seed=row * width + col)
                dataset.write(pixels, window=Window(col, row, wide, tall))
    return path


@cache
def land() -> NDArray[np.uint8]:
    """The pattern: a seamlessly repeating (PERIOD, PERIOD) array of land kinds."""
    rng = np.random.default_rng(0)
    fields = [
        gaussian_filter(rng.standard_normal((PERIOD, PERIOD), dtype=np.float32), 12, mode="wrap")
        for _ in range(CLASSES)
    ]
    return np.argmax(fields, axis=0).astype(np.uint8)


def pixels_of(kinds: NDArray[np.uint8], seed: int) -> NDArray[np.uint16]:
    """Pixels (bands, height, width) of that land: a spectrum per kind, plus noise."""
    rng = np.random.default_rng(seed)
    spectra = np.random.default_rng(1).normal(MEAN, STD, (len(BANDS), CLASSES)).clip(200)
    noise = rng.integers(-256, 257, (len(BANDS), *kinds.shape), dtype=np.int16)
    return (spectra.astype(np.int16)[:, kinds] + noise).clip(1).astype(np.uint16)
