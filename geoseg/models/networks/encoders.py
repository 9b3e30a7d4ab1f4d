"""Encoders that segmentation-models-pytorch lacks, and the plainest network on top of one."""

from __future__ import annotations

from typing import Any

import segmentation_models_pytorch as smp
import torch
import torchvision  # type: ignore[import-untyped]
from torch import Tensor, nn

WIDTHS = {"swin_t": 96, "swin_s": 96, "swin_v2_t": 96, "swin_v2_b": 128}
"""Channels after the first stage; each of the other three doubles them."""


def register() -> None:
    """Let segmentation-models-pytorch build encoders from torchvision's Swin Transformers."""
    for name in WIDTHS:
        smp.encoders.encoders.setdefault(
            name, {"encoder": Swin, "pretrained_settings": {}, "params": {"name": name}}
        )


class Swin(nn.Module):
    """torchvision's Swin Transformer as an encoder; its weights keep torchvision's names.

    Args:
        name: a key of `WIDTHS`.
        depth: 5, which all decoders ask for by default; the scale 1/2 has no channels.
        output_stride: 32.
    """

    def __init__(self, name: str, depth: int = 5, output_stride: int = 32) -> None:
        super().__init__()
        if (depth, output_stride) != (5, 32):
            raise ValueError("a Swin Transformer has four scales, 1/4 to 1/32")
        self.features = getattr(torchvision.models, name)(weights=None).features
        first = WIDTHS[name]
        self.out_channels = [3, 0, first, 2 * first, 4 * first, 8 * first]
        self.output_stride = output_stride

    def set_in_channels(self, in_channels: int, pretrained: bool = False) -> None:  # noqa: ARG002  (smp calls it so)
        """Set the number of input bands; segmentation-models-pytorch calls it."""
        old = self.features[0][0]
        assert isinstance(old, nn.Conv2d), "patches are embedded by a convolution"
        self.features[0][0] = nn.Conv2d(in_channels, old.out_channels, 4, 4)
        self.out_channels[0] = in_channels

    def forward(self, image: Tensor) -> list[Tensor]:
        """The image, nothing, and features at 1/4, 1/8, 1/16 and 1/32."""
        height, width = image.shape[-2:]
        scales = [image, image.new_empty(len(image), 0, height // 2, width // 2)]
        values = image
        for number, stage in enumerate(self.features):
            values = stage(values)
            if number % 2:  # blocks; what is even embeds patches or merges them
                scales.append(values.permute(0, 3, 1, 2).contiguous())
        return scales


class LinearProbe(nn.Module):
    """One linear layer on all features of an encoder, to compare encoders (Alain and Bengio, 2016).

    Args:
        backbone: name of the encoder.
        bands: number of input channels.
        classes: number of output channels.
    """

    def __init__(self, backbone: str, bands: int, classes: int) -> None:
        super().__init__()
        self.encoder: Any = smp.encoders.get_encoder(backbone, in_channels=bands, weights=None)
        channels = sum(self.encoder.out_channels[1:])
        self.segmentation_head = nn.Conv2d(channels, classes, 1)

    def forward(self, image: Tensor) -> Tensor:
        """Map (images, bands, height, width) to (images, classes, height, width) logits."""
        scales = [each for each in self.encoder(image)[1:] if each.shape[1]]
        size = scales[0].shape[-2:]
        together = [nn.functional.interpolate(each, size, mode="bilinear") for each in scales]
        logits = self.segmentation_head(torch.cat(together, dim=1))
        return nn.functional.interpolate(logits, image.shape[-2:], mode="bilinear")
