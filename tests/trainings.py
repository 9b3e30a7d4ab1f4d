"""Architectures to train, and an end that nothing catches."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import geoseg

SIX_STEPS = """
from geoseg.cli import main
from geoseg.steps.train import fit_network
fit_network.STEPS_PER_EPOCH = 6
main()
"""
EPOCHS_OF_SIX_STEPS = ["-c", SIX_STEPS]
"""Arguments of Python for a `geoseg` whose epochs are as short as can be killed in."""


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


EVERY = [
    ("unet", "resnet18"), ("unet", "tu-resnet10t"), ("unet", "swin_v2_t"), ("fcn", ""),
    ("deeplabv3+", "resnet18"), ("upernet", "resnet18"), ("segformer", "resnet18"),
    ("dpt", "tu-vit_tiny_patch16_224"), ("unet++", "resnet18"), ("unet-scse", "resnet18"),
    ("manet", "resnet18"), ("fpn", "resnet18"), ("linknet", "resnet18"), ("pspnet", "resnet18"),
    ("deeplabv3", "resnet18"), ("linear", "resnet18"),
]  # fmt: skip


@contextmanager
def training_briefly() -> Iterator[None]:
    """Networks take six steps on small crops, whatever a command asks for."""
    from geoseg.steps.train import fit_network, train

    def train_briefly(
        chips: Path, out: Path, *, options: geoseg.TrainOptions | None = None
    ) -> Path:
        options = options or geoseg.TrainOptions()
        options = options.model_copy(update={"epochs": 1, "batch": 16, "crop": 32})
        return train(chips, out, options=options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit_network, "STEPS_PER_EPOCH", 6)
        for module in ("geoseg.cli.step_commands", "geoseg.pipeline", "geoseg"):
            patch.setattr(f"{module}.train", train_briefly)
        yield
