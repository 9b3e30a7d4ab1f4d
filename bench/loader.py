"""Feeding a network: 20 scenes in two UTM zones, 1024 px, 4 bands uint16, polygons of 8 classes.

Batches of 16 crops of 256 px as float32 images and int64 masks, unless a line says otherwise.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pyproj
import torch
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from bench.clock import medians
from bench.labels import SCHEME, make_polygons
from bench.scene import BANDS, land, pixels_of
from geoseg import TileOptions, allocator, tile
from geoseg.chips import ChipSet, open_chips
from geoseg.chips.loader import loader
from geoseg.chips.sampling import Batches

SCENES, SIDE, CHIP, BATCH = 20, 1024, 256, 16
ZONES = "EPSG:32633", "EPSG:32634"
POLYGONS = 400
"""In each scene."""
COUNT, FEW = 2048, 48
"""Crops of a round; few for torchgeo."""


def run(folder: Path) -> Iterator[str]:
    """Samples per second, as a share of the ideal and a multiple of torchgeo."""
    torch.set_num_threads(1)  # with two threads, conversion times vary with the load of the machine
    write_world(folder / "scenes", folder / "labels.gpkg")
    options = TileOptions(size=CHIP, block=CHIP, buffer=0, val=0.05, test=0)
    chips = open_chips(
        tile(sorted((folder / "scenes").glob("*.tif")), folder / "labels.gpkg", folder / "chips",
             classes=SCHEME, options=options)
    )  # fmt: skip
    allocator.keep(freed=True)  # as in training, for all candidates
    whole = _Scenes(folder, chips)
    candidates: dict[str, tuple[int, Callable[[], int]]] = {
        "ideal: memory-mapped chips, as stored": (COUNT, lambda: _ideal(chips, floats=False)),
        "geoseg: chips as stored": (COUNT, lambda: _geoseg(chips, shift=False, floats=False)),
        "geoseg: crops anywhere, as stored": (
            COUNT, lambda: _geoseg(chips, shift=True, floats=False)
        ),
        "ideal: memory-mapped scenes, crops anywhere, as stored": (COUNT, lambda: whole(False)),
        "ideal: memory-mapped chips": (COUNT, lambda: _ideal(chips, floats=True)),
        "geoseg: chips": (COUNT, lambda: _geoseg(chips, shift=False, floats=True)),
        "geoseg: crops anywhere": (COUNT, lambda: _geoseg(chips, shift=True, floats=True)),
        "ideal: memory-mapped scenes, crops anywhere": (COUNT, lambda: whole(True)),
        "torchgeo: image and vector labels, DataLoader": (FEW, _torchgeo(folder)),
    }  # fmt: skip
    seconds = medians({name: work for name, (_, work) in candidates.items()})
    rates = {name: candidates[name][0] / each for name, each in seconds.items()}
    theirs = rates["torchgeo: image and vector labels, DataLoader"]
    for name, rate in rates.items():
        stored = "as stored" in name
        ideal = rates["ideal: memory-mapped chips" + (", as stored" if stored else "")]
        shares = f"{rate / ideal:6.2f} of ideal {rate / theirs:8.1f} x torchgeo"
        yield f"{name:56} {rate:9.1f} /s {shares}"


def write_world(scenes: Path, labels: Path) -> None:
    """Write separate scenes, ten per zone, and one label layer in longitude and latitude."""
    import geopandas
    import pandas
    import rasterio

    scenes.mkdir()
    frames = []
    for number in range(SCENES):
        affine = Affine(10, 0, 3e5 + number // 2 * 2e4, 0, -10, 5e6)
        box = GeoBox((SIDE, SIDE), affine, ZONES[number % 2])
        with rasterio.open(
            scenes / f"{number:02d}.tif", "w", driver="GTiff", count=len(BANDS), height=SIDE,
            width=SIDE, dtype="uint16", crs=ZONES[number % 2], transform=affine, tiled=True,
            blockxsize=512, blockysize=512, compress="deflate", predictor=2,
        ) as dataset:  # fmt: skip
            dataset.descriptions = BANDS
            dataset.write(pixels_of(land()[:SIDE, :SIDE], seed=number))
        shapes, ids = make_polygons(POLYGONS, box)
        frame = geopandas.GeoDataFrame({"code": ids.astype(int)}, geometry=list(shapes),
                                       crs=ZONES[number % 2])  # fmt: skip
        frames.append(frame.to_crs("EPSG:4326"))
    geopandas.GeoDataFrame(pandas.concat(frames)).to_file(labels)


def _geoseg(chips: ChipSet, *, shift: bool, floats: bool) -> int:
    batches = Batches(batch=BATCH, steps=COUNT // BATCH, shift=shift)
    seen = 0
    for batch in loader(chips, "train", batches):
        image, mask = batch["image"], batch["mask"]
        if floats:
            image, mask = image.float(), mask.long()
        seen += len(image) + 0 * len(mask)
    return seen


def _ideal(chips: ChipSet, *, floats: bool) -> int:
    """Gather with numpy alone: two gathers in random order."""
    positions = chips.positions("train")
    rng = np.random.default_rng(0)
    order = np.concatenate([rng.permutation(positions) for _ in range(-(-COUNT // len(positions)))])
    seen = 0
    for at in range(0, COUNT, BATCH):
        here = order[at : at + BATCH]
        seen += _tensors(chips.images[here], chips.labels[here], floats)
    return seen


class _Scenes:
    """Scenes and labels as one memory-mapped array each, cropped by slicing."""

    def __init__(self, folder: Path, chips: ChipSet) -> None:
        shape = (SCENES, len(BANDS), SIDE, SIDE)
        kinds = (("images", np.uint16, shape), ("labels", np.uint8, (SCENES, SIDE, SIDE)))
        for name, dtype, each in kinds:
            array = np.lib.format.open_memmap(folder / f"{name}.npy", "w+", dtype, each)
            for chip in range(len(chips.index)):
                scene, window = chips.place(chip)
                array[scene, ..., *window.slices] = getattr(chips, name)[chip]
            array.flush()
        self._images, self._labels = (
            np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray) for name, _, _ in kinds
        )

    def __call__(self, floats: bool) -> int:
        rng = np.random.default_rng(0)
        seen = 0
        for _ in range(COUNT // BATCH):
            scenes = rng.integers(0, SCENES, BATCH)
            corners = rng.integers(0, SIDE - CHIP, (BATCH, 2))
            images = np.empty((BATCH, len(BANDS), CHIP, CHIP), np.uint16)
            labels = np.empty((BATCH, CHIP, CHIP), np.uint8)
            for i, (scene, (row, col)) in enumerate(zip(scenes, corners, strict=True)):
                here = scene, ..., slice(row, row + CHIP), slice(col, col + CHIP)
                images[i], labels[i] = self._images[here], self._labels[here]
            seen += _tensors(images, labels, floats)
        return seen


def _tensors(images: NDArray[np.uint16], labels: NDArray[np.uint8], floats: bool) -> int:
    image, mask = torch.from_numpy(images), torch.from_numpy(labels)
    if floats:
        image, mask = image.float(), mask.long()
    return len(image) + 0 * len(mask)


def _torchgeo(folder: Path) -> Callable[[], int]:
    """Sample torchgeo's datasets, combined as in its documentation; only sampling is timed."""
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, VectorDataset, stack_samples
    from torchgeo.samplers import RandomPatchSampler

    images = RasterDataset(str(folder / "scenes"), crs=pyproj.CRS(ZONES[0]), res=(10, 10))
    masks = VectorDataset(
        [str(folder / "labels.gpkg")], crs=pyproj.CRS(ZONES[0]), res=(10, 10), label_name="code"
    )
    dataset = images & masks

    def sample() -> int:
        sampler = RandomPatchSampler(dataset, size=CHIP, length=FEW, generator=0)
        data = DataLoader(dataset, batch_size=BATCH, sampler=sampler, collate_fn=stack_samples)
        return sum(len(batch["image"]) + 0 * len(batch["mask"]) for batch in data)

    return sample
