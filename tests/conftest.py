"""What most tests stand on: a small scene made in code, and a way to write any other raster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray

NORTH_UP = Affine(0.5, 0, 500_000, 0, -0.5, 5_000_000)
HEIGHT, WIDTH = 96, 128

type MakeRaster = Callable[..., Path]


@dataclass(frozen=True, eq=False)
class SmallScene:
    """A scene of 48 m x 64 m with one building on land and a corner without data.

    Attributes:
        path: 3 bands of uint16, 96 x 128 px of 0.5 m in EPSG:32633, nodata 0.
        pixels: (3, 96, 128), as in the file.
        valid: (96, 128), False in the upper left 16 x 24 px.
        classes: (96, 128): 0 for land, 9504 px; 1 for a building, 2400 px or 600 m2; 255, 384 px.
    """

    path: Path
    pixels: NDArray[np.uint16]
    valid: NDArray[np.bool_]
    classes: NDArray[np.uint8]


@pytest.fixture(scope="session")
def make_raster() -> MakeRaster:
    """A function (path, array, **profile) that writes a GeoTIFF of (bands, rows, columns)."""
    return _make_raster


def _make_raster(path: Path, array: NDArray[Any], **profile: Any) -> Path:
    array = array if array.ndim == 3 else array[None]
    count, height, width = array.shape
    settings: dict[str, Any] = {
        "driver": "GTiff", "count": count, "height": height, "width": width, "dtype": array.dtype,
        "crs": "EPSG:32633", "transform": NORTH_UP,
    }  # fmt: skip
    with rasterio.open(path, "w", **(settings | profile)) as dataset:
        dataset.write(array)
    return path


@pytest.fixture(scope="session")
def scene(tmp_path_factory: pytest.TempPathFactory) -> SmallScene:
    """The small scene; written once, so tests leave it as it is."""
    rng = np.random.default_rng(7)
    classes = np.zeros((HEIGHT, WIDTH), np.uint8)
    classes[30:70, 40:100] = 1
    classes[:16, :24] = 255
    pixels = rng.integers(800, 1200, (3, HEIGHT, WIDTH), dtype=np.uint16)
    pixels[:, classes == 1] += 2000
    pixels[:, classes == 255] = 0
    path = tmp_path_factory.mktemp("scene") / "scene.tif"
    _make_raster(path, pixels, nodata=0, tiled=True, blockxsize=64, blockysize=32)
    return SmallScene(path, pixels, classes != 255, classes)
