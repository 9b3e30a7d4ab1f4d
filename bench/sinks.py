"""Reading 8192 x 8192 px of 4 bands uint16 and writing two maps, with a model that costs nothing.

geoseg with a threshold as the model, against one pass of reading and two COGs written from memory.
"""

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
import rasterio.shutil
from rasterio.io import MemoryFile

from bench.child import Outcome, call
from bench.models import Threshold
from bench.scene import write_scene
from geoseg import grid

SHAPE = (8192, 8192)
THREADS = 2
STRIP = 1024
ROUNDS = 3


def run(folder: Path) -> Iterator[str]:
    """Megapixels per second, also as a share of the plain copy's rate."""
    scene = str(write_scene(folder / "scene.tif", SHAPE))
    plain: list[Outcome] = []
    mapped: list[Outcome] = []
    for _ in range(ROUNDS):
        plain.append(call(copy_here, scene=scene, out=str(folder)))
        mapped.append(call(map_here, scene=scene, out=str(folder / "map")))
    megapixels = SHAPE[0] * SHAPE[1] / 1e6
    seconds = {
        "rasterio: reads once, writes both COGs": median(each.value for each in plain),
        "geoseg predict with a threshold": median(each.value for each in mapped),
        "geoseg, interpreter start included": median(each.seconds for each in mapped),
    }
    first = next(iter(seconds.values()))
    for name, each in seconds.items():
        yield f"{name:56} {megapixels / each:8.2f} Mpx/s   {first / each:7.2f} of the rate"


def map_here(scene: str, out: str) -> float:
    """Seconds in `geoseg.predict`, without imports."""
    import dask.distributed  # noqa: F401

    import geoseg
    import geoseg.steps.predict.map_scenes

    options = geoseg.PredictOptions(overwrite=True)
    start = time.perf_counter()
    geoseg.predict(scene, Threshold(), out, options=options)
    return time.perf_counter() - start


def copy_here(scene: str, out: str) -> float:
    """Seconds to read a scene in strips, and to write maps from memory as GDAL COGs."""
    seconds = 0.0
    with rasterio.open(scene, num_threads=THREADS) as dataset:
        height, width = dataset.shape
        layers = np.empty((2, height, width), dtype=np.uint8)
        profile = {"crs": dataset.crs, "transform": dataset.transform}
        for row in range(0, height, STRIP):
            start = time.perf_counter()
            at = rasterio.windows.Window(0, row, width, min(STRIP, height - row))
            pixels = dataset.read(window=at)
            seconds += time.perf_counter() - start
            core = grid.whole(pixels.shape[1:])
            valid = np.ones(core.shape, dtype=bool)
            layers[:, row : row + STRIP] = Threshold()(pixels, valid, core)
    for layer, overviews in zip(layers, ("MODE", "AVERAGE"), strict=True):
        with MemoryFile() as memory:
            with memory.open(
                driver="GTiff", count=1, height=height, width=width, dtype="uint8",
                nodata=255, tiled=True, **profile,
            ) as plain:  # fmt: skip
                plain.write(layer, 1)
            start = time.perf_counter()
            rasterio.shutil.copy(
                memory.name, Path(out) / f"{overviews}.tif", driver="COG", COMPRESS="DEFLATE",
                NUM_THREADS=str(THREADS), OVERVIEW_RESAMPLING=overviews,
            )  # fmt: skip
            seconds += time.perf_counter() - start
    return seconds
