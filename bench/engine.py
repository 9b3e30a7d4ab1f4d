"""Overhead of `geoseg predict` over the forward passes of its windows alone.

U-Net/ResNet-18, 8 classes, 8192 x 8192 px of 4 bands uint16 (tiled 512, deflate).
"""

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

from bench.child import call
from bench.maps import BF16, FP32, Mapped, predict
from bench.models import random_unet
from bench.scene import write_scene

SHAPE = (8192, 8192)
ROUNDS = 3
HALO = 64


def run(folder: Path) -> Iterator[str]:
    """Overhead with torch in fp32 and bf16."""
    scene = write_scene(folder / "scene.tif", SHAPE)
    model = random_unet(folder / "model")
    megapixels = SHAPE[0] * SHAPE[1] / 1e6
    for options in (FP32, BF16):
        maps: list[Mapped] = []
        passes: list[float] = []
        for _ in range(ROUNDS):
            maps.append(predict(scene, model, folder / "map", **options))
            passes.append(_forward(scene, model, maps[-1]))
        inside, outside = (
            median(each.seconds for each in maps), median(each.all_seconds for each in maps),
        )  # fmt: skip
        alone = median(passes)
        name = f"{maps[-1].name}, window {maps[-1].window} px"
        yield f"{name + ': the forward passes alone':56} {megapixels / alone:8.2f} Mpx/s   1.00"
        yield f"{'geoseg predict':56} {megapixels / inside:8.2f} Mpx/s   {inside / alone:.3f}"
        yield (
            f"{'geoseg predict, start of the interpreter included':56} "
            f"{megapixels / outside:8.2f} Mpx/s   {outside / alone:.3f}"
        )


def _forward(scene: Path, model: Path, done: Mapped) -> float:
    windows = {"engine": done.engine, "window": done.window}
    return float(call(forward_here, scene=str(scene), model=str(model), **windows).value)


def forward_here(scene: str, model: str, engine: dict[str, Any], window: int) -> float:
    """Seconds of the forward passes of a scene's windows, read into memory beforehand."""
    import torch
    from dask.system import CPU_COUNT

    from geoseg import allocator, grid
    from geoseg.models.input_scaling import scaled
    from geoseg.models.run import engines
    from geoseg.models.run.inference_settings import Engine
    from geoseg.models.saved.model_files import load_network
    from geoseg.raster import FileSource

    chosen = Engine(**engine)
    network, spec = load_network(Path(model))
    gpu = torch.cuda.is_available()
    device, slots = torch.device("cuda" if gpu else "cpu"), 1 if gpu else CPU_COUNT
    torch.set_num_threads(1)
    run_network = engines.build(network, len(spec.bands), chosen, device, slots)
    source = FileSource(Path(scene))
    images = []
    for tile in grid.tiles(source.geobox.shape, window, HALO, multiple_of=spec.stride):
        block = source.read(tile.read)
        pixels, valid = torch.tensor(block.pixels[None]), torch.tensor(block.valid[None])
        images.append(scaled(pixels, valid, spec.mean, spec.std))

    @torch.inference_mode()
    def forward(image: torch.Tensor) -> None:
        run_network(image.to(device))

    with allocator.returned(), ThreadPoolExecutor(slots) as pool:
        allocator.keep(freed=chosen.makes_arrays)
        list(pool.map(forward, images[:slots]))
        start = time.perf_counter()
        list(pool.map(forward, images))
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter() - start
