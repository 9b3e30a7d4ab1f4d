"""The one function that every engine makes of a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

type Forward = Callable[[Tensor], Tensor]
"""(images, bands, height, width) float32 to (images, classes, height, width) float32 logits."""
