"""Monte Carlo dropout (Gal and Ghahramani, 2016) with the same masks for the same window."""

from __future__ import annotations

import threading

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError

_state = threading.local()


def seed(value: int) -> None:
    """Seed the masks of this thread."""
    _state.generator = torch.Generator().manual_seed(value)


def names(network: nn.Module) -> list[str]:
    """List the names of a network's dropout layers.

    Raises:
        ModelError: the network has none.
    """
    found = [
        name
        for name, module in network.named_modules()
        if isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
    ]
    if not found:
        raise ModelError("the network has no dropout to leave on", fix="leave out --passes")
    return found


def keep_on(network: nn.Module) -> nn.Module:
    """Replace the network's dropout layers by ones that stay on in evaluation mode.

    Torch draws masks from one generator for all threads, so with its own layers the result would
    depend on the order of the windows.

    Raises:
        ModelError: the network has no dropout.
    """
    for name in names(network):
        old = network.get_submodule(name)
        assert isinstance(old, nn.modules.dropout._DropoutNd), "chosen above"
        network.set_submodule(name, _Kept(old.p, channels=not isinstance(old, nn.Dropout)))
    return network


class _Kept(nn.Module):
    """Zeroes values, or whole channels, with probability p, and scales the rest by 1 / (1 - p)."""

    def __init__(self, p: float, channels: bool) -> None:
        super().__init__()
        self.p, self.channels = p, channels

    def forward(self, values: Tensor) -> Tensor:
        shape = (*values.shape[:2], *(1 for _ in values.shape[2:])) if self.channels else None
        chance = torch.rand(shape or values.shape, generator=_state.generator)
        kept = (chance >= self.p).to(values.device, values.dtype)
        return values * kept / (1 - self.p)
