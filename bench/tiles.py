"""Reading windows of a 4096 x 5120 px scene of 4 bands uint16 (tiled 512, deflate)."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from affine import Affine
from rasterio.windows import Window as RasterioWindow

from bench.clock import ratios
from geoseg import grid
from geoseg.raster import FileSource

SHAPE = (4096, 5120)
TILE = 512
REGION = 2048


def run(folder: Path) -> Iterator[str]:
    """Windows through geoseg, through rasterio and through torchgeo."""
    path = _scene(folder / "tiles")
    candidates = {
        "geoseg: a region of 4 x 4 windows at a time": lambda: _geoseg(path),
        "rasterio: one handle, window by window": lambda: _rasterio(path),
        "torchgeo: RasterDataset and a gridded sampler": lambda: _torchgeo(path.parent),
    }
    yield from ratios(candidates, megapixels=SHAPE[0] * SHAPE[1] / 1e6)


def _scene(folder: Path) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(0)
    smooth = rng.integers(0, 40, (4, SHAPE[0] // 8, SHAPE[1] // 8), dtype=np.uint16)
    pixels = smooth.repeat(8, axis=1).repeat(8, axis=2) * 50
    pixels += rng.integers(0, 16, pixels.shape, dtype=np.uint16)
    with rasterio.open(
        folder / "scene.tif", "w", driver="GTiff", count=4, height=SHAPE[0], width=SHAPE[1],
        dtype="uint16", crs="EPSG:32633", transform=Affine(10, 0, 5e5, 0, -10, 5e6),
        tiled=True, blockxsize=512, blockysize=512, compress="deflate", predictor=2,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return folder / "scene.tif"


def _geoseg(path: Path) -> int:
    source, total = FileSource(path), 0
    for region in grid.split(grid.whole(SHAPE), REGION):
        block = source.read(region)
        for window in grid.split(region, TILE):
            rows, cols = window.relative_to(region).slices
            total += int(block.pixels[0, rows, cols][0, 0])
    return total


def _rasterio(path: Path) -> int:
    total = 0
    with rasterio.open(path) as dataset:
        for w in grid.split(grid.whole(SHAPE), TILE):
            pixels = dataset.read(window=RasterioWindow(w.col, w.row, w.width, w.height))
            total += int(pixels[0, 0, 0])
    return total


def _torchgeo(folder: Path) -> int:
    from torchgeo.datasets import RasterDataset
    from torchgeo.samplers import GriddedPatchSampler

    dataset = RasterDataset(str(folder))
    sampler = GriddedPatchSampler(dataset, size=TILE)
    return sum(int(dataset[query]["image"][0, 0, 0]) for query in sampler)
