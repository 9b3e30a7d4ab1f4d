"""`geoseg victim`: a prediction to be killed, with a predictor that notes what it computes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import rasterio
from affine import Affine
from cyclopts import Parameter
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

import geoseg
from geoseg import cli
from geoseg.classes import ClassScheme
from geoseg.grid import Window

SHAPE = 3000, 3500
REGION, WINDOW = 512, 256
ACROSS = -(-SHAPE[1] // REGION)
REGIONS = ACROSS * -(-SHAPE[0] // REGION)
EMPTY = (slice(0, 700), slice(0, 1200))
"""The corner without data; two of the regions lie in it as a whole."""

MAPPED = REGIONS - 2
SCHEME = ClassScheme.model_validate(
    {"classes": [{"name": f"land {i}", "color": f"#{40 * i:02x}8040"} for i in range(5)]}
)
CODE = "import victim; victim.main()"
ENVIRONMENT = os.environ | {"PYTHONPATH": str(Path(__file__).parent)}
"""Worker processes find this module as well."""


@dataclass(frozen=True)
class Noting:
    """Classes that depend on the neighbours, and that hardly compress; needs no network.

    Attributes:
        journal: a file that gets a line for every window: the number of its region.
        rounds: how much is computed.
        pause: seconds of rest in every window, so that another run can meet this one.
        fingerprint: as of all predictors.
    """

    journal: Path
    rounds: int = 2
    pause: float = 0.0
    fingerprint: str = "noise"
    stride: int = 8
    halo: int = 16
    scheme: ClassScheme = SCHEME

    def __call__(
        self, pixels: NDArray[np.uint16], valid: NDArray[np.bool_], core: Window
    ) -> NDArray[np.uint8]:
        self._note(int(pixels[1, *core.slices].max()))
        time.sleep(self.pause)
        smooth = pixels[0].astype(np.float32)
        for _ in range(self.rounds):
            smooth = uniform_filter(smooth, 3)
        shift = len(self.fingerprint)
        layers = np.stack([smooth * 100 + shift, pixels[0] + shift])[:, *core.slices]
        return (layers.astype(np.int64) % [[[5]], [[101]]]).astype(np.uint8)

    def _note(self, region: int) -> None:
        handle = os.open(self.journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            os.write(handle, b"%d\n" % region)
        finally:
            os.close(handle)


def write_scene(path: Path) -> Path:
    """A band of noise, and one with the number of the region, from 1; 0 is no data in both."""
    height, width = SHAPE
    pixels = np.empty((2, *SHAPE), dtype=np.uint16)
    pixels[0] = np.random.default_rng(3).integers(1, 4000, SHAPE)
    rows, cols = np.ogrid[:height, :width]
    pixels[1] = 1 + rows // REGION * ACROSS + cols // REGION
    pixels[:, *EMPTY] = 0
    with rasterio.open(
        path, "w", driver="GTiff", count=2, height=height, width=width, dtype="uint16", nodata=0,
        crs="EPSG:32633", transform=Affine(10, 0, 5e5, 0, -10, 5e6), tiled=True, blockxsize=256,
        blockysize=256,
    ) as dataset:  # fmt: skip
        dataset.write(pixels)
    return path


@dataclass(frozen=True)
class Victim:
    """A prediction that can be started again and again.

    Attributes:
        scene: the scene.
        out: the map directory.
        arguments: more for the command line.
        name: tells runs apart that share a map directory.
    """

    scene: Path
    out: Path
    arguments: tuple[str, ...] = ()
    name: str = "run"

    @property
    def journal(self) -> Path:
        """What was computed."""
        return self.out.with_suffix(".journal")

    def log(self) -> str:
        """What the command has printed, whenever it was started."""
        return self._log.read_text()

    @property
    def _log(self) -> Path:
        return self.out.with_suffix(f".{self.name}.log")

    def start(self) -> subprocess.Popen[bytes]:
        """Start the command, as leader of a process group of its own."""
        command = [
            sys.executable, "-c", CODE, "victim", str(self.scene), "-o", str(self.out),
            "--journal", str(self.journal), *self.arguments,
        ]  # fmt: skip
        with self._log.open("ab") as said:
            return subprocess.Popen(
                command, stdout=said, stderr=said, start_new_session=True, env=ENVIRONMENT
            )

    def run(self) -> int:
        """Run the command to its end, and return its exit code."""
        with self.start() as process:
            return process.wait()

    def computed(self) -> Counter[int]:
        """How many windows of each region have been computed."""
        try:
            return Counter(map(int, self.journal.read_text().split()))
        except FileNotFoundError:
            return Counter()


@cli.app.command(name="victim")
def predict(
    scene: Path,
    /,
    *,
    out: Annotated[Path, Parameter(alias="-o")],
    journal: Path,
    fingerprint: str = "noise",
    rounds: int = 2,
    pause: float = 0.0,
    workers: int = 0,
    cluster: str | None = None,
) -> None:
    """Map the scene."""
    settings: dict[str, Any] = {"region": REGION, "window": WINDOW}
    options = geoseg.PredictOptions(workers=workers, cluster=cluster, **settings)
    geoseg.predict(scene, Noting(journal, rounds, pause, fingerprint), out, options=options)


def main() -> None:
    """`geoseg`, with one command more."""
    cli.main()
