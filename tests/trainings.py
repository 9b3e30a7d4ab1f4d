"""Architectures to train, and an end that nothing catches."""

from __future__ import annotations


class Killed(BaseException):
    """Nothing catches it, as nothing catches a kill."""


EVERY = [
    ("unet", "resnet18"), ("unet", "tu-resnet10t"), ("unet", "swin_v2_t"), ("fcn", ""),
    ("deeplabv3+", "resnet18"), ("upernet", "resnet18"), ("segformer", "resnet18"),
    ("dpt", "tu-vit_tiny_patch16_224"), ("unet++", "resnet18"), ("unet-scse", "resnet18"),
    ("manet", "resnet18"), ("fpn", "resnet18"), ("linknet", "resnet18"), ("pspnet", "resnet18"),
    ("deeplabv3", "resnet18"), ("linear", "resnet18"),
]  # fmt: skip
