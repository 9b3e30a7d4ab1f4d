"""Losses by name; unlabelled pixels (255) count in none of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.classes import IGNORE
from geoseg.models.fit.training_settings import Loss

MISSED = 0.7
"""Weight of missed pixels in the Tversky loss; that of false ones is 0.3 (Salehi et al., 2017)."""

LEAST_GRADIENT = 1e-20
"""Smaller gradients of logits count as 0; AdamW divides by at least 1e-8, so they move no weight.

Layer by layer they would become subnormal, and processors take up to 50 times as long for a
backward pass through subnormal numbers.
"""


class MapLoss(nn.Module):
    """One loss, or the sum of several.

    Cross-entropy; Dice (Milletari et al., 2016); focal, one class against the rest (Lin et al.,
    2017); Lovasz-Softmax (Berman et al., 2018); Tversky (Salehi et al., 2017); Jaccard, 1 - soft
    IoU. Dice, Lovasz, Tversky and Jaccard leave out classes that a batch does not contain.

    Args:
        loss: names of losses, joined by "+".
        class_weights: weight of each class in the cross-entropy and the focal loss.
        label_smoothing: fraction of a pixel's label that the cross-entropy spreads over all
            classes.
    """

    def __init__(self, loss: Loss, class_weights: Sequence[float], label_smoothing: float) -> None:
        super().__init__()
        weights = torch.tensor(class_weights)
        makers: dict[str, Callable[[], nn.Module]] = {
            "ce": lambda: _CrossEntropy(weights, label_smoothing),
            "focal": lambda: smp.losses.FocalLoss(
                "multiclass", ignore_index=IGNORE, class_weights=list(class_weights)
            ),
            "dice": lambda: smp.losses.DiceLoss("multiclass", ignore_index=IGNORE),
            "jaccard": lambda: smp.losses.JaccardLoss("multiclass", ignore_index=IGNORE),
            "lovasz": lambda: smp.losses.LovaszLoss("multiclass", ignore_index=IGNORE),
            "tversky": lambda: smp.losses.TverskyLoss(
                "multiclass", ignore_index=IGNORE, alpha=1 - MISSED, beta=MISSED
            ),
        }
        self.parts = nn.ModuleList(makers[name]() for name in loss.split("+"))

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch; 0 where none of its pixels is labelled.

        Args:
            logits: (images, classes, height, width).
            labels: (images, height, width), 255 where unlabelled.
        """
        logits = logits.float()  # bfloat16 has 8 bits of precision, too few for sums over pixels
        if logits.requires_grad:
            logits.register_hook(_without_tiny)
        total = torch.stack([part(logits, labels).sum() for part in self.parts]).sum()
        # 0 * logits keeps the graph: backward() would refuse a loss that depends on no weight
        return torch.where((labels != IGNORE).any(), total, 0 * logits.sum())


def _without_tiny(gradient: Tensor) -> Tensor:
    return gradient.masked_fill(gradient.abs() < LEAST_GRADIENT, 0)  # NaN stays


class _CrossEntropy(nn.Module):
    """Torch's cross-entropy, but 0 instead of NaN where all pixels of a batch have weight 0."""

    def __init__(self, weights: Tensor, label_smoothing: float) -> None:
        super().__init__()
        self.weights: Tensor
        self.register_buffer("weights", weights, persistent=False)
        self.label_smoothing = label_smoothing

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        total = functional.cross_entropy(
            logits, labels, self.weights, ignore_index=IGNORE, reduction="sum",
            label_smoothing=self.label_smoothing,
        )  # fmt: skip
        known = labels != IGNORE
        weight = (self.weights[labels.where(known, 0)] * known).sum()
        return total / weight.clamp_min(torch.finfo(weight.dtype).tiny)
