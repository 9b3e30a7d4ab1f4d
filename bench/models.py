"""Models for the benchmarks: U-Nets with ResNet-18 for 8 classes, and a threshold."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench.child import call
from bench.scene import BANDS, CLASSES, MEAN, STD, land, pixels_of
from geoseg.classes import ClassScheme
from geoseg.grid import Window

STEPS, BATCH, CHIP = 80, 8, 128
SCHEME = ClassScheme.model_validate(
    {"classes": [{"name": f"land {i}", "color": f"#{i:02x}8040"} for i in range(CLASSES)]}
)


def random_unet(folder: Path) -> Path:
    """A model directory with random weights, as slow as a trained one."""
    call(save_unet, folder=str(folder), steps=0)
    return folder


def trained_unet(folder: Path) -> Path:
    """A model directory trained on the benchmark scenes for about a minute."""
    call(save_unet, folder=str(folder), steps=STEPS)
    return folder


def save_unet(folder: str, steps: int) -> float:
    """Fit a U-Net for some steps and save it; returns the last loss."""
    import torch

    from geoseg.models.networks.build import build
    from geoseg.models.saved.model_files import save_model
    from geoseg.models.saved.spec import ModelSpec

    torch.manual_seed(0)
    network = build("unet", "resnet18", len(BANDS), CLASSES).train()
    optimizer = torch.optim.AdamW(network.parameters(), lr=2e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 2e-3, total_steps=max(1, steps))
    rng, loss = np.random.default_rng(0), torch.tensor(0.0)
    for step in range(steps):
        kinds = np.stack([_chip(rng) for _ in range(BATCH)])
        pixels = np.stack([pixels_of(each, 1000 * step + i) for i, each in enumerate(kinds)])
        images = torch.from_numpy((pixels.astype(np.float32) - MEAN) / STD)
        loss = torch.nn.functional.cross_entropy(network(images), torch.from_numpy(kinds).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    spec = ModelSpec(
        architecture="unet", backbone="resnet18", bands=BANDS, dtype="uint16",
        mean=(MEAN,) * len(BANDS), std=(STD,) * len(BANDS), gsd_m=10, scheme=SCHEME, stride=32,
        halo=64, weights_sha256="", metrics={}, versions={},
    )  # fmt: skip
    Path(folder).mkdir(parents=True)
    save_model(Path(folder), network, spec)
    return loss.item()


def _chip(rng: np.random.Generator) -> NDArray[np.uint8]:
    row, col = rng.integers(0, len(land()) - CHIP, 2)
    return land()[row : row + CHIP, col : col + CHIP]


@dataclass(frozen=True)
class Threshold:
    """A predictor that costs next to nothing: vegetation by threshold."""

    stride: int = 1
    halo: int = 0
    scheme: ClassScheme = SCHEME
    fingerprint: str = "nir over red"

    def __call__(
        self, pixels: NDArray[np.uint16], valid: NDArray[np.bool_], core: Window
    ) -> NDArray[np.uint8]:
        """Class 1 where near infrared exceeds red, else 0, with full confidence."""
        del valid
        _, _, red, nir = pixels[:, *core.slices]
        layers = np.full((2, *red.shape), 100, dtype=np.uint8)
        np.greater(nir, red, out=layers[0], casting="unsafe")
        return layers
