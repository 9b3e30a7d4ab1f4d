"""From scene to map: geoseg against torchgeo's dataset, sampler and loader, stitched in numpy.

U-Net/ResNet-18 fitted to the scene, 8 classes, 8192 x 6144 px of 4 bands uint16; the same weights,
1152 px windows that share 128 px. Processes are timed from start to end.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

import numpy as np
import rasterio
from numpy.typing import NDArray

from bench.child import call
from bench.maps import FP32, predict
from bench.models import trained_unet
from bench.scene import AFFINE, CLASSES, write_scene
from geoseg import grid
from geoseg.grid import Window

SHAPE = (8192, 6144)
CORE, HALO = 1024, 64
BATCH, WORKERS = 4, 2
ROUNDS = 3
AWAY = 128
"""Pixels from the border of a window that count as away from it."""


def run(folder: Path) -> Iterator[str]:
    """Time of reading, mapping and writing, and the agreement of the maps."""
    scene = write_scene(folder / "scenes" / "scene.tif", SHAPE)
    model = trained_unet(folder / "model")
    torchgeo = "torchgeo, logits summed in numpy"
    seconds: dict[str, list[float]] = {torchgeo: [], "geoseg fp32": [], "geoseg auto": []}
    chosen, corners = "", []
    for _ in range(ROUNDS):
        paths = {"scenes": str(scene.parent), "model": str(model), "out": str(folder / "peer.tif")}
        peer = call(torchgeo_here, **paths)
        seconds[torchgeo].append(peer.seconds)
        corners = peer.value
        for name, options in (("fp32", {**FP32, "window": CORE}), ("auto", {})):
            done = predict(scene, model, folder / name, **options)
            seconds[f"geoseg {name}"].append(done.all_seconds)
            chosen = done.name
    first = median(seconds[torchgeo])
    for name, each in seconds.items():
        rate = SHAPE[0] * SHAPE[1] / 1e6 / median(each)
        yield f"{name:56} {rate:8.2f} Mpx/s   {first / median(each):7.2f} x as fast"
    theirs, fp32, auto = (
        _classes(folder / name) for name in ("peer.tif", "fp32/classes.tif", "auto/classes.tif")
    )
    away = _away(corners)
    yield f"the same class, torchgeo and geoseg fp32: {_same(theirs, fp32):.3f} %"
    yield f"{AWAY} px away from window borders: {_same(theirs[away], fp32[away]):.3f} %"
    yield f"the same class, geoseg fp32 and auto ({chosen}): {_same(fp32, auto):.3f} %"


def torchgeo_here(scenes: str, model: str, out: str) -> list[tuple[int, int]]:
    """Map a scene with torchgeo as its tutorials do; returns the corners of the windows."""
    import torch
    from torch.utils.data import DataLoader
    from torchgeo.datasets import RasterDataset, stack_samples
    from torchgeo.samplers import GridGeoSampler

    from geoseg.models.saved.model_files import load_network

    network, spec = load_network(Path(model))
    network.eval()
    mean, std = (torch.tensor(each)[:, None, None] for each in (spec.mean, spec.std))
    dataset = RasterDataset(scenes)
    sampler = GridGeoSampler(dataset, CORE + 2 * HALO, CORE)
    loader = DataLoader(
        dataset, batch_size=BATCH, sampler=sampler, num_workers=WORKERS, collate_fn=stack_samples
    )
    with rasterio.open(Path(scenes) / "scene.tif") as scene:
        height, width = scene.shape
        profile = {"crs": scene.crs, "transform": scene.transform}
    logits = np.zeros((CLASSES, height, width), dtype=np.float32)
    corners = []
    with torch.inference_mode():
        for batch in loader:
            found = network((batch["image"] - mean) / std).numpy()
            for each, transform in zip(found, batch["transform"], strict=True):
                row = round((AFFINE.f - float(transform[5])) / -AFFINE.e)
                col = round((float(transform[2]) - AFFINE.c) / AFFINE.a)
                corners.append((row, col))
                seen = Window(row, col, *each.shape[1:])
                inside = seen.intersect(grid.whole((height, width)))  # the sampler overshoots
                logits[:, *inside.slices] += each[:, *inside.relative_to(seen).slices]
    classes = logits.argmax(axis=0).astype(np.uint8)
    with rasterio.open(
        out, "w", driver="GTiff", count=1, height=height, width=width, dtype="uint8",
        compress="deflate", tiled=True, **profile,
    ) as written:  # fmt: skip
        written.write(classes, 1)
    return corners


def _classes(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        return dataset.read(1)


def _away(corners: list[tuple[int, int]]) -> NDArray[np.bool_]:
    """Mask of pixels far from window borders of either map, given torchgeo's corners."""
    far = []
    for side, starts in zip(SHAPE, zip(*corners, strict=True), strict=True):
        theirs = {border for start in starts for border in (start, start + CORE + 2 * HALO)}
        borders = [border for border in {*range(0, side, CORE), *theirs} if 0 < border < side]
        at = np.arange(side)
        far.append(np.min([np.abs(at - border) for border in borders], axis=0) >= AWAY)
    return np.logical_and.outer(*far)


def _same(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    return 100 * float((one == other).mean())
