"""The memory and time a network takes per pixel, measured on one small window."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

SIDE = 256
"""A multiple of every network's stride."""


@dataclass(frozen=True)
class MemoryCost:
    """Cost of one input pixel on one thread of a CPU, in float32.

    Attributes:
        bytes: output of all layers together. That is more than is ever held at once: a U-Net
            holds less than half of it.
        seconds: a first estimate, on the slow side.
    """

    bytes: float
    seconds: float


@torch.inference_mode()
def measure(network: nn.Module, bands: int) -> MemoryCost:
    """Run a network once on an empty window.

    Args:
        network: maps (images, bands, height, width) to logits of the same size.
        bands: number of input channels.
    """
    sizes: list[int] = []

    def note(_module: nn.Module, _inputs: Any, output: Any) -> None:
        if isinstance(output, Tensor):
            sizes.append(output.numel() * 4)

    leaves = [module for module in network.eval().modules() if not list(module.children())]
    hooks = [module.register_forward_hook(note) for module in leaves]
    start = time.perf_counter()
    try:
        network(torch.zeros(1, bands, SIDE, SIDE))
    finally:
        for hook in hooks:
            hook.remove()
    return MemoryCost(sum(sizes) / SIDE**2, (time.perf_counter() - start) / SIDE**2)
