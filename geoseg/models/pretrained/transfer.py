"""Load weights into a network with other names, input bands, classes or position codes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import nn

from geoseg.errors import ModelError
from geoseg.models.band_names import SENTINEL2, common_name

if TYPE_CHECKING:
    from torch import Tensor

    from geoseg.models.pretrained.weight_files import State

PREFIXES = (
    "", "model.", "encoder.", "backbone.", "module.", "model.encoder.", "model.backbone.",
    "model.backbone.model.", "backbone.model.", "module.encoder.", "encoder.model.",
)  # fmt: skip
"""Prefixes that trainers put before the names of weights."""


def load_weights(network: nn.Module, state: State, kernel_of: Kernel) -> list[str]:
    """Load weights into a network, or into its encoder alone.

    Args:
        network: network, changed in place.
        state: tensors by name, of such a network or of its encoder.
        kernel_of: adapts the kernel of the first layer to the input bands.

    Returns:
        Names of the weights that stay as they were.

    Raises:
        ModelError: the weights belong to another network.
    """
    target = network.state_dict()
    named, whole = _rename(target, state)
    first = _first_layer(network)
    taken: State = {}
    for name, value in named.items():
        fitted = _fit(kernel_of(value) if name == first else value, target[name], name)
        if fitted is not None and fitted.shape == target[name].shape:
            taken[name] = fitted.to(target[name].dtype)
    # of an encoder alone, the decoder may be missing; of a whole model, nothing but the head
    must = [n for n in target if whole or n.startswith("encoder.")]
    lacking = [n for n in must if n not in taken and not _may_differ(n)]
    if lacking or not taken:
        raise ModelError(
            "the weights belong to another network",
            got=f"nothing that fits {lacking[0] if lacking else 'it'}, "
            f"and {len(must) - len(lacking)} of {len(must)} others",
            fix="name the --architecture and --backbone that they were made for",
        )
    network.load_state_dict(taken, strict=False)
    return [name for name in target if name not in taken]


class Kernel:
    """Adapts the kernel of a first layer to other input bands.

    Bands are matched by common name. A band that the weights lack gets the mean over all their
    bands. If no name matches and the number of bands is the same, they are taken in order; if it
    differs, all bands get the mean, scaled so that the response to a grey image stays the same.

    Args:
        bands: bands of the weights, in order; empty where they are not known.
        names: bands of the input, in order.
        sensor: sensor of the weights, for bands that are numbers.
    """

    def __init__(self, bands: Sequence[str], names: Sequence[str], sensor: str = SENTINEL2) -> None:
        self.bands, self.names = tuple(bands), tuple(names)
        known = [common_name(band, sensor) for band in bands]
        wanted = [common_name(name, sensor) for name in names]
        self.sources: list[int | None] = [known.index(w) if w in known else None for w in wanted]
        if self.by_order:
            self.sources = list(range(len(names)))

    @property
    def by_order(self) -> bool:
        """Whether bands are taken in order: the names match in order, or not at all."""
        matched = any(source is not None for source in self.sources)
        alike = self.sources == list(range(len(self.names)))
        return len(self.bands) == len(self.names) and (not matched or alike)

    def __call__(self, kernel: Tensor) -> Tensor:
        """Map (out, bands, height, width) to (out, input bands, height, width)."""
        mean = kernel.mean(dim=1)
        if len(self.bands) not in (0, kernel.shape[1]):
            raise ModelError(
                "the first layer takes another number of bands than the list of the weights states",
                got=kernel.shape[1],
                wanted=len(self.bands),
            )
        if not self.bands and kernel.shape[1] == len(self.names):
            return kernel
        if all(source is None for source in self.sources):
            share = kernel.shape[1] / len(self.names)
            return torch.stack([mean * share] * len(self.names), dim=1)
        found = [mean if s is None else kernel[:, s] for s in self.sources]
        return torch.stack(found, dim=1)

    def explain(self) -> str:
        """Describe in one line what became of which band; empty if nothing changed."""
        if not self.bands:
            return ""
        if self.by_order:
            same = all(
                common_name(a) == common_name(b)
                for a, b in zip(self.bands, self.names, strict=True)
            )
            return "" if same else f"bands taken in order: {self._pairs()}"
        averaged = [n for n, s in zip(self.names, self.sources, strict=True) if s is None]
        dropped = [b for i, b in enumerate(self.bands) if i not in self.sources]
        parts = [
            f"{', '.join(averaged)} get the mean of all" * bool(averaged),
            f"{', '.join(dropped)} of the weights are not used" * bool(dropped),
        ]
        return "; ".join(filter(None, parts)) or "bands are reordered by name"

    def _pairs(self) -> str:
        return ", ".join(f"{n} as {b}" for n, b in zip(self.names, self.bands, strict=True))


def _rename(target: State, state: State) -> tuple[State, bool]:
    """Rename a state to the network's names, and find out if it is of the whole network.

    Of all prefixes the one is taken that matches the most names.
    """
    best: tuple[int, State, bool] = (0, {}, False)
    for whole in (True, False):
        for place in ("",) if whole else ("encoder.", "encoder.model."):
            for prefix in PREFIXES:
                found = {
                    place + name.removeprefix(prefix): value
                    for name, value in state.items()
                    if name.startswith(prefix) and place + name.removeprefix(prefix) in target
                }
                is_whole = any(not name.startswith("encoder.") for name in found)
                if len(found) > best[0]:
                    best = len(found), found, is_whole
    return best[1], best[2]


def _first_layer(network: nn.Module) -> str:
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d):
            return f"{name}.weight"
    raise ModelError("a network without convolutions has no input bands")


def _fit(value: Tensor, target: Tensor, name: str) -> Tensor | None:
    """Resample position codes and patch embeddings to other sizes; None if nothing fits.

    Patches are resampled as in FlexiViT (Beyer et al., 2023), which keeps their response to a
    smooth image.
    """
    if value.shape == target.shape:
        return value
    if "patch_embed" in name and value.shape[:2] == target.shape[:2]:
        from timm.layers.patch_embed import resample_patch_embed

        patches: Tensor = resample_patch_embed(value.float(), list(target.shape[2:]))
        return patches
    if not name.endswith("pos_embed"):
        return None
    from timm.layers.pos_embed import resample_abs_pos_embed

    # one class token, then a square of patches
    side = int((target.shape[1] - 1) ** 0.5)
    if value.shape[-1] != target.shape[-1] or side * side + 1 != target.shape[1]:
        return None
    fitted: Tensor = resample_abs_pos_embed(value.float(), [side, side], num_prefix_tokens=1)
    return fitted


def _may_differ(name: str) -> bool:
    """Whether a weight may be missing: it depends on the classes, or is not used."""
    return name.startswith("segmentation_head.") or ".head." in name or ".norm." in name
