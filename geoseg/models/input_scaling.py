"""The scaling of pixels to network inputs, one for training, calibration and prediction."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def scaled(images: Tensor, valid: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Scale pixels to network inputs: (pixel - mean) / std as float32, 0 (the mean) where invalid.

    It runs on the device of the images and never changes them.

    Args:
        images: (images, bands, height, width) of any real dtype, as stored.
        valid: (images, height, width) bool.
        mean: one per band.
        std: one per band; a constant band has 0 and is only centred.

    Returns:
        A new float32 tensor of the shape of the images.
    """
    shift = torch.tensor(mean, dtype=torch.float32, device=images.device)
    # the reciprocal is taken in double precision, so that CPU and GPU multiply by the same float
    gain = torch.tensor(
        [1 / each for each in divisors(std)], dtype=torch.float32, device=images.device
    )
    # uint16 has no arithmetic in torch, so the copy comes first and the rest happens in place
    result = images.to(torch.float32, copy=True)
    result.sub_(shift[:, None, None]).mul_(gain[:, None, None])
    return result.masked_fill_(~valid[:, None], 0.0)


def divisors(std: Sequence[float]) -> tuple[float, ...]:
    """Replace the standard deviation of constant bands by 1.

    Example:
        >>> divisors((2.5, 0.0))
        (2.5, 1.0)
    """
    return tuple(each if each > 0 else 1.0 for each in std)
