"""Peak memory of `geoseg predict` by scene size: U-Net/ResNet-18, 4 bands uint16."""

from collections.abc import Iterator
from pathlib import Path

from bench.maps import FP32, predict
from bench.models import trained_unet
from bench.scene import write_scene
from geoseg import files

SIDES = (4096, 16384)
REFERENCE = 4096


def run(folder: Path) -> Iterator[str]:
    """Peak resident memory, also relative to 4096 x 4096 px; each measured once."""
    model = trained_unet(folder / "model")
    peaks: dict[tuple[str, int], float] = {}
    for side in SIDES:
        scene = write_scene(folder / "scene.tif", (side, side))
        for name, options in (("torch fp32", FP32), ("auto", {})):
            done = predict(scene, model, folder / "map", **options)
            peaks[name, side] = done.peak_mb
            yield f"{side:5} x {side:5} px, {name:12} {done.peak_mb:8.0f} MB   ({done.name})"
            files.remove(folder / "map")
    for name in ("torch fp32", "auto"):
        ratio = peaks[name, SIDES[-1]] / peaks[name, REFERENCE]
        yield f"{name}: {SIDES[-1]} px take {ratio:.2f} x the memory of {REFERENCE} px"
