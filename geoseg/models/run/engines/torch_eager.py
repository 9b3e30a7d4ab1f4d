"""Torch: batch norm folded into convolutions, channels last, bfloat16 where asked for."""

from __future__ import annotations

import copy
from collections import Counter
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from geoseg.models.networks import dropout

if TYPE_CHECKING:
    from geoseg.models.run.engines.forward import Forward
    from geoseg.models.run.inference_settings import Engine

EXAMPLE = 128
ALIKE = 1e-3
"""Fraction of the largest logit by which a fused network may differ, which is rounding."""


def build(network: nn.Module, bands: int, engine: Engine, device: torch.device) -> Forward:
    """Put a network on a device, its batch norms folded."""
    dtype = torch.bfloat16 if engine.precision == "bf16" else torch.float32
    network = _fused(network, bands).to(device, dtype).to(memory_format=torch.channels_last)
    run = torch.compile(network) if engine.compiled else network

    def forward(images: Tensor) -> Tensor:
        logits: Tensor = run(images.to(dtype, memory_format=torch.channels_last))
        return logits.float()

    return forward


@torch.no_grad()
def _fused(network: nn.Module, bands: int) -> nn.Module:
    """Fold batch norms into the convolutions before them, if the logits stay the same.

    torch.fx would find the pairs too, but while it traces a network it replaces the ``__call__`` of
    all modules of the process, and other threads may be predicting with theirs.
    """
    if not any(type(module) is nn.BatchNorm2d for module in network.modules()):
        return network
    example = torch.randn(1, bands, EXAMPLE, EXAMPLE, generator=torch.Generator().manual_seed(0))
    wanted, pairs = _watched(network, example)
    fused = copy.deepcopy(network)
    for conv, norm in pairs:
        both = fuse_conv_bn_eval(fused.get_submodule(conv), fused.get_submodule(norm))  # type: ignore[type-var, arg-type]
        fused.set_submodule(conv, both)
        fused.set_submodule(norm, nn.Identity())
    dropout.seed(0)
    difference = (fused(example) - wanted).abs().amax()
    return fused if difference <= ALIKE * wanted.abs().amax() else network


def _watched(network: nn.Module, example: Tensor) -> tuple[Tensor, list[tuple[str, str]]]:
    """Logits, and the names of convolutions with the batch norms that take their outputs."""
    made: list[tuple[Tensor, int, str]] = []
    taken: list[tuple[str, str]] = []
    hooks = []

    def after(name: str) -> Any:
        return lambda _module, _inputs, output: made.append((output, output._version, name))

    def before(name: str) -> Any:
        def note(_module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            for output, version, conv in made:
                if inputs[0] is output and output._version == version:
                    taken.append((conv, name))

        return note

    for name, module in network.named_modules():
        if type(module) is nn.Conv2d:
            hooks.append(module.register_forward_hook(after(name)))
        if type(module) is nn.BatchNorm2d and module.track_running_stats:
            hooks.append(module.register_forward_pre_hook(before(name)))
    dropout.seed(0)
    try:
        logits: Tensor = network(example)
    finally:
        for hook in hooks:
            hook.remove()
    # a layer that runs twice may see several convolutions; folding it into one would be wrong
    runs = Counter(name for _, _, name in made) + Counter(norm for _, norm in taken)
    return logits, [pair for pair in taken if runs[pair[0]] == runs[pair[1]] == 1]
