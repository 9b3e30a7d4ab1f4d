"""A predictor by threshold that counts its calls, scenes for it, and what its maps hold."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import rasterio
import shapely
from networks import TWO_CLASSES
from numpy.typing import NDArray
from small_scene import NORTH_UP

import geoseg
from geoseg.classes import ClassScheme
from geoseg.errors import RasterError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.models.run.predictor import Layers

HEIGHT, WIDTH = 600, 1100
W256 = geoseg.PredictOptions(window=256)
WINDOWS = 3 * 5
"""Of 256 px on 600 x 1100 px; they make 2 x 3 regions of 512 px."""

BROKEN = 9999
"""A pixel value that `Threshold` fails on."""

type Array = NDArray[Any]
type WriteArea = Callable[..., Path]


@dataclass(frozen=True)
class Threshold:
    """Bright pixels are buildings; notes each call in a file, which every process can.

    Attributes:
        notes: a folder.
        level: what is bright.
        halo: pixels of context; the map does not depend on them.
        stride: windows start at multiples of it.
        broken: whether it fails on pixels of 9999.
    """

    notes: Path
    level: int = 1000
    halo: int = 0
    stride: int = 4
    broken: bool = False

    @property
    def scheme(self) -> ClassScheme:
        return TWO_CLASSES

    @property
    def fingerprint(self) -> str:
        return f"threshold {self.level}"

    def __call__(self, pixels: Array, valid: Array, core: Window) -> Layers:
        if self.broken and (pixels[0] == BROKEN).any():
            raise RasterError("the sensor was dazzled")
        (self.notes / uuid.uuid4().hex).touch()
        kept = np.where(valid, pixels[0], 0)[core.slices]
        return np.stack([kept > self.level, kept % 101]).astype(np.uint8)

    def calls(self) -> int:
        """How often it was called since this was asked last."""
        found = list(self.notes.iterdir())
        for each in found:
            each.unlink()
        return len(found)


def random_pixels(seed: int = 4, shape: tuple[int, int] = (HEIGHT, WIDTH)) -> Array:
    return np.random.default_rng(seed).integers(200, 2000, (1, *shape), dtype=np.uint16)


def classes_of(folder: Path) -> Array:
    with rasterio.open(folder / "classes.tif") as dataset:
        found: Array = dataset.read(1)
    return found


def counts_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "run.json").read_text(encoding="utf-8"))["counts"]
    return found


def sums(folder: Path) -> tuple[str, str]:
    return sha256(folder / "classes.tif"), sha256(folder / "confidence.tif")


def pixel_box(rows: tuple[int, int], cols: tuple[int, int]) -> shapely.Polygon:
    """The frame of pixels of a scene of 0.5 m at (500 000, 5 000 000)."""
    (left, top), (right, bottom) = NORTH_UP @ (cols[0], rows[0]), NORTH_UP @ (cols[1], rows[1])
    return shapely.box(left, bottom, right, top)


def area_writer(folder: Path) -> WriteArea:
    """A function (*polygons, epsg) that writes polygons in EPSG:32633 in another CRS."""

    def _write(*polygons: shapely.Polygon, epsg: int = 32633, name: str = "aoi.geojson") -> Path:
        frame = geopandas.GeoDataFrame(geometry=list(polygons), crs=32633).to_crs(epsg)
        path = folder / name
        frame.to_file(path, driver="GeoJSON" if path.suffix == ".geojson" else "GPKG")
        return path

    return _write
