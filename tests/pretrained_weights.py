"""Files of random weights laid out like the pretrained ones."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torchgeo.models
from torch import nn

from geoseg.models.fit.starting_point import InputBands
from geoseg.models.pretrained.weights import Weights, all_weights, named

S2 = InputBands(("B2", "B3", "B4", "B8"), (1200.0,) * 4, (600.0,) * 4)
ROADS = "Unet_Weights.NAIP_RGBN_RESNET18_CHESAPEAKERSC"
MOCO = "ResNet18_Weights.SENTINEL2_ALL_MOCO"


def swin() -> nn.Module:
    model: nn.Module = torchgeo.models.swin_v2_t()
    model.features[0][0] = nn.Conv2d(9, 96, 4, 4)  # type: ignore[index]
    return model


def roads() -> nn.Module:
    return torchgeo.models.unet(encoder_name="resnet18", in_channels=4, classes=2)


KINDS: dict[str, tuple[Callable[[], nn.Module], str]] = {
    MOCO: (lambda: torchgeo.models.resnet18(in_chans=13), "unet"),
    "ViTSmall16_Weights.SENTINEL2_ALL_DINO": (
        lambda: torchgeo.models.vit_small_patch16_224(in_chans=13),
        "dpt",
    ),
    "ViTSmall14_DINOv2_Weights.SENTINEL2_ALL_SOFTCON": (
        lambda: torchgeo.models.vit_small_patch14_dinov2(in_chans=13),
        "dpt",
    ),
    "Swin_V2_T_Weights.SENTINEL2_SI_MS_SATLAS": (swin, "upernet"),
    ROADS: (roads, "unet"),
}
"""Builders of torchgeo, whose weights have the layout of the real files."""


def fake(folder: Path, name: str, *, hashed: bool = True) -> Weights:
    """A file of random weights under the name that torch's cache gives it; returns what names it.

    The hash in the name is that of the fake, as the list's is of the real file.
    """
    torch.manual_seed(4)
    folder.mkdir(parents=True, exist_ok=True)
    listed = named(name)
    path = folder / "new.pth"
    torch.save(KINDS[name][0]().state_dict(), path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    file = f"fake-{digest}.pth" if hashed else listed.file
    path.rename(folder / file)
    return replace(listed, url=f"http://127.0.0.1/{file}")


def listing(monkeypatch: pytest.MonkeyPatch, cache: Path) -> Iterator[Callable[[Weights], None]]:
    """Yield a function that lists weights until the test ends; torch's cache is empty."""
    monkeypatch.setenv("TORCH_HOME", str(cache))
    kept = dict(all_weights())

    def put(found: Weights) -> None:
        all_weights()[found.name] = found

    yield put
    all_weights().update(kept)
