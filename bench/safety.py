"""Cost of crash safety: `geoseg predict` with and without fsync, sha256, ledger and read-back.

U-Net/ResNet-18, 8 classes, torch in fp32, 4096 x 4096 px of 4 bands uint16 in regions of 512 px.
"""

import os
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from statistics import median
from unittest.mock import patch

from bench.child import call
from bench.maps import FP32
from bench.models import random_unet
from bench.scene import write_scene

SHAPE = (4096, 4096)
WINDOW = 512
"""As small as it gets: the more regions, the dearer."""

ROUNDS = 3
NO_HASH = "0" * 64


def run(folder: Path) -> Iterator[str]:
    """Wall and CPU seconds, also relative to those without safety."""
    scene = write_scene(folder / "scene.tif", SHAPE)
    model = random_unet(folder / "model")
    names = {False: "without safety", True: "geoseg predict"}
    taken: dict[bool, list[list[float]]] = {each: [] for each in names}
    for _ in range(ROUNDS):
        for safe, each in taken.items():
            paths = {"scene": str(scene), "model": str(model), "out": str(folder / "map")}
            each.append(call(map_here, **paths, safe=safe).value)
    first = [median(each) for each in zip(*taken[False], strict=True)]
    for safe, each in taken.items():
        wall, cpu = (median(one) for one in zip(*each, strict=True))
        yield (
            f"{names[safe]:32} {wall:7.2f} s {wall / first[0]:7.3f}"
            f"   processors {cpu:7.2f} s {cpu / first[1]:7.3f}"
        )


def map_here(scene: str, model: str, out: str, safe: bool) -> list[float]:
    """Wall and CPU seconds of `geoseg.predict`."""
    import geoseg

    options = geoseg.PredictOptions(overwrite=True, window=WINDOW, **FP32)
    with ExitStack() as patches:
        if not safe:
            _trust(patches)
        wall, cpu = time.perf_counter(), time.process_time()
        geoseg.predict(scene, model, out, options=options)
        return [time.perf_counter() - wall, time.process_time() - cpu]


def _trust(patches: ExitStack) -> None:
    """Disable everything that guards against disk failures and kills."""
    from geoseg import files
    from geoseg.job import Ledger
    from geoseg.raster import cog

    def write_bytes(final: Path, data: bytes) -> str:
        with files.whole(final) as temporary:
            temporary.write_bytes(data)
        return NO_HASH

    for place, name, value in (
        (os, "fsync", lambda _: None),
        (files, "sync", lambda _: None),
        (files, "write_bytes", write_bytes),
        (files, "sha256", lambda _: NO_HASH),
        (Ledger, "add", lambda *_: None),
        (cog, "_compare", lambda *_: None),
    ):
        patches.enter_context(patch.object(place, name, value))
