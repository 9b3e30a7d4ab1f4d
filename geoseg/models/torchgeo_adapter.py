"""torchgeo's plain network and its list of pretrained weights; `fit.torchgeo_task` has its task.

torchgeo's API moves between releases, so no other module imports it. It loads kornia, timm and
torchvision, which takes seconds; hence the late imports.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import nn
    from torchvision.models import WeightsEnum  # type: ignore[import-untyped]


def fully_convolutional(bands: int, classes: int, filters: int) -> nn.Module:
    """Build torchgeo's FCN: five 3x3 convolutions at full resolution, then one of 1x1."""
    from torchgeo.models import FCN

    return FCN(in_channels=bands, classes=classes, num_filters=filters)


def listed_weights() -> Iterator[WeightsEnum]:
    """Yield every entry of torchgeo's weight enums, sorted by the name of the enum."""
    from torchgeo import models

    for name in sorted(vars(models)):
        if name.endswith("_Weights"):
            yield from getattr(models, name)
