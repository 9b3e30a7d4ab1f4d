"""The symmetries of the square, for test-time augmentation."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch
from torch import Tensor

from geoseg.models.run.inference_settings import Views


def symmetries(views: Views) -> Iterator[tuple[int, bool]]:
    """List the symmetries of a kind: quarter turns, and whether mirrored first.

    Example:
        >>> list(symmetries("none")), len(list(symmetries("flips"))), len(list(symmetries("turns")))
        ([(0, False)], 4, 8)
    """
    turns = {"none": (0,), "flips": (0, 2), "turns": (0, 1, 2, 3)}[views]
    return product(turns, (False,) if views == "none" else (False, True))


def view(images: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Mirror images, (..., height, width), left to right and then turn them counterclockwise."""
    return torch.rot90(images.flip(-1) if mirrored else images, turns, (-2, -1))


def restore(images: Tensor, turns: int, mirrored: bool) -> Tensor:
    """Undo `view`."""
    back = torch.rot90(images, -turns, (-2, -1))
    return back.flip(-1) if mirrored else back
