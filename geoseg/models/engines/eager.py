"""Torch itself: batch norm folded into convolutions, channels last, bfloat16 where asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.fx.experimental.optimization import fuse
from torch.fx.proxy import TraceError

if TYPE_CHECKING:
    from torch import Tensor, nn

    from geoseg.models.engines import Forward
    from geoseg.models.recipe import Engine


def build(network: nn.Module, engine: Engine, device: torch.device) -> Forward:
    """The network on a device."""
    dtype = torch.bfloat16 if engine.precision == "bf16" else torch.float32
    network = _fused(network).to(device, dtype).to(memory_format=torch.channels_last)
    run = torch.compile(network) if engine.compiled else network

    def forward(images: Tensor) -> Tensor:
        logits: Tensor = run(images.to(dtype, memory_format=torch.channels_last))
        return logits.float()

    return forward


def _fused(network: nn.Module) -> nn.Module:
    """Batch norms folded into the convolutions before them, where torch can follow the network."""
    try:
        fused: nn.Module = fuse(network)
    except (TraceError, TypeError, NotImplementedError, RuntimeError, AttributeError):
        return network
    return fused
