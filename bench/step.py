"""Training steps from chips against the same steps from tensors in memory: U-Net/ResNet-18, fp32.

20 scenes in two UTM zones; batches of 8 crops of 256 px, 4 bands uint16, 8 classes.
"""

from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from bench.clock import medians
from bench.labels import SCHEME
from bench.loader import CHIP, write_world
from bench.scene import BANDS, CLASSES, MEAN, STD
from geoseg import TileOptions, allocator, tile
from geoseg.chips import open_chips
from geoseg.chips.loader import loader
from geoseg.chips.sampling import Batches
from geoseg.models.input_scaling import scaled
from geoseg.models.networks.build import build

BATCH, STEPS = 8, 8
SCALING = (MEAN,) * len(BANDS), (STD,) * len(BANDS)


def run(folder: Path) -> Iterator[str]:
    """Seconds per step, also relative to those from memory."""
    write_world(folder / "scenes", folder / "labels.gpkg")
    options = TileOptions(size=CHIP, block=CHIP, buffer=0, val=0.05, test=0)
    scenes = sorted((folder / "scenes").glob("*.tif"))
    labels = folder / "labels.gpkg"
    chips = open_chips(tile(scenes, labels, folder / "chips", classes=SCHEME, options=options))
    allocator.keep(freed=True)  # as in training, for all candidates
    torch.manual_seed(0)
    network = build("unet", "resnet18", len(BANDS), CLASSES).train()
    network = network.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(network.parameters(), lr=1e-4)

    def feed(shift: bool) -> Iterator[tuple[Tensor, Tensor]]:
        for batch in loader(chips, "train", Batches(batch=BATCH, steps=STEPS, shift=shift)):
            yield scaled(batch["image"], batch["valid"], *SCALING), batch["mask"].long()

    held = list(feed(shift=False))
    _fit(network, optimizer, held)
    seconds = medians(
        {
            "tensors in memory": lambda: _fit(network, optimizer, held),
            "geoseg: chips": lambda: _fit(network, optimizer, feed(shift=False)),
            "geoseg: crops anywhere": lambda: _fit(network, optimizer, feed(shift=True)),
        }
    )
    first = seconds["tensors in memory"]
    for name, each in seconds.items():
        yield f"{name:56} {each / STEPS:8.3f} s a step   {each / first:7.3f} x the time"


def _fit(network: nn.Module, optimizer: torch.optim.Optimizer, batches: object) -> None:
    for image, mask in batches:
        loss = nn.functional.cross_entropy(network(image), mask, ignore_index=255)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
