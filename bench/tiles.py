"""Cutting a 4096 x 5120 px scene of 4 bands uint16 (tiled 512, deflate) into chips of 256 px."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.windows import Window as RasterioWindow

from bench.clock import ratios
from bench.labels import SCHEME, make_polygons, write_polygons
from bench.scene import AFFINE, CRS, write_scene
from geoseg import grid
from geoseg.chips.cut import CutTask, cut
from geoseg.job import WorkerOptions, spread
from geoseg.labels import LabelLayer
from geoseg.raster import FileSource

SHAPE = (4096, 5120)
CHIP = 256
REGION = 2048
POLYGONS = 5_000


def run(folder: Path) -> Iterator[str]:
    """Cut chips with geoseg (in memory and to disk), rasterio and torchgeo."""
    path = write_scene(folder / "tiles" / "scene.tif", SHAPE)
    labels = LabelLayer(str(_labels(folder / "labels.gpkg")), SCHEME)
    parts = folder / "parts"
    parts.mkdir()
    source = FileSource(path)
    tasks = [
        CutTask(0, source, labels, region, CHIP, 0.0, parts)
        for region in grid.split(grid.whole(SHAPE), REGION)
    ]
    candidates = {
        "geoseg: regions read once, cut in memory": lambda: _geoseg(source),
        "geoseg: also labelled, hashed and written; both cores": lambda: _step(tasks),
        "rasterio: one handle, window by window": lambda: _rasterio(path),
        "rasterio: one handle, block by block as stored": lambda: _blocks(path),
        "torchgeo: RasterDataset, GridGeoSampler": lambda: _torchgeo(path.parent),
        "torchgeo: and DataLoader": lambda: _loader(path.parent, workers=0),
        "torchgeo: and DataLoader with 2 workers": lambda: _loader(path.parent, workers=2),
    }
    yield from ratios(candidates, megapixels=SHAPE[0] * SHAPE[1] / 1e6)


def _labels(path: Path) -> Path:
    shapes, ids = make_polygons(POLYGONS, GeoBox(SHAPE, AFFINE, CRS))
    write_polygons(path, shapes, ids)
    return path


def _geoseg(source: FileSource) -> int:
    count = 0
    for region in grid.split(grid.whole(SHAPE), REGION):
        block = source.read(region)
        chips = [window.relative_to(region).slices for window in grid.split(region, CHIP)]
        count += len(np.stack([block.pixels[:, rows, cols] for rows, cols in chips]))
    return count


def _step(tasks: list[CutTask]) -> int:
    return len(list(spread(cut, tasks, WorkerOptions(), label="cutting chips")))


def _rasterio(path: Path) -> int:
    count = 0
    with rasterio.open(path) as dataset:
        for w in grid.split(grid.whole(SHAPE), CHIP):
            count += len(dataset.read(window=RasterioWindow(w.col, w.row, w.width, w.height)))
    return count


def _blocks(path: Path) -> int:
    with rasterio.open(path) as dataset:
        return sum(len(dataset.read(window=window)) for _, window in dataset.block_windows(1))


def _torchgeo(folder: Path) -> int:
    from torchgeo.datasets import RasterDataset
    from torchgeo.samplers import GridGeoSampler

    dataset = RasterDataset(str(folder))
    return sum(len(dataset[at]["image"]) for at in GridGeoSampler(dataset, CHIP, CHIP))


def _loader(folder: Path, *, workers: int) -> int:
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    dataset = RasterDataset(str(folder))
    sampler = GridGeoSampler(dataset, CHIP, CHIP)
    loader = DataLoader(
        dataset, batch_size=4, sampler=sampler, num_workers=workers, collate_fn=stack_samples
    )
    return sum(len(batch["image"]) for batch in loader)
