"""The cost of the halo: useful pixels per second by window and halo; torch, fp32.

U-Net/ResNet-18, 8 classes, 3072 x 4096 px of 4 bands uint16.
"""

from collections.abc import Iterator
from pathlib import Path
from statistics import median

from bench.maps import FP32, predict
from bench.models import random_unet
from bench.scene import write_scene

SHAPE = (3072, 4096)
WINDOWS, HALOS = (512, 1024, 2048), (0, 32, 64)
ROUNDS = 3


def run(folder: Path) -> Iterator[str]:
    """A line per window size; in brackets, the pixels computed per useful pixel."""
    scene = write_scene(folder / "scene.tif", SHAPE)
    model = random_unet(folder / "model")
    seconds: dict[tuple[int, int], list[float]] = {(w, h): [] for w in WINDOWS for h in HALOS}
    for _ in range(ROUNDS):
        for (window, halo), each in seconds.items():
            done = predict(scene, model, folder / "map", window=window, halo=halo, **FP32)
            each.append(done.seconds)
    yield "window   " + "".join(f"{f'halo {halo} px':>24}" for halo in HALOS)
    for window in WINDOWS:
        cells = (
            f"{SHAPE[0] * SHAPE[1] / 1e6 / median(seconds[window, halo]):.2f} Mpx/s "
            f"({((window + 2 * halo) / window) ** 2:.2f})"
            for halo in HALOS
        )
        yield f"{window:5} px " + "".join(f"{cell:>24}" for cell in cells)
