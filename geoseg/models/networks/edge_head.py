"""An auxiliary head that learns class edges, during training only."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn
from torch.nn import functional

from geoseg.classes import IGNORE


class EdgeHead(nn.Module):
    """Finds the pixels on class edges in the features below a network's last layer.

    A network that also has to find the edges learns features that preserve them (Marmanis et al.,
    2018, "Classification with an edge", feed edges to the network; Diakogiannis et al., 2020,
    learn them beside the classes, as here).

    Args:
        network: network whose features are used; no reference to it is kept.
    """

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        layers = (each for each in last_of(network).modules() if isinstance(each, nn.Conv2d))
        self.score = nn.Conv2d(next(layers).in_channels, 1, 1)

    def forward(self, features: Tensor, labels: Tensor) -> Tensor:
        """Compute the loss of a batch.

        Args:
            features: (images, channels, rows, columns), at any resolution.
            labels: (images, height, width), 255 where unlabelled.
        """
        scores = functional.interpolate(
            self.score(features), labels.shape[-2:], mode="bilinear", align_corners=False
        )
        return edge_loss(scores[:, 0].float(), labels)


def last_of(network: nn.Module) -> nn.Module:
    """The layer that turns features into classes.

    smp calls it segmentation_head, torchgeo's FCN last.
    """
    last = getattr(network, "segmentation_head", None) or getattr(network, "last", None)
    assert isinstance(last, nn.Module), "every network has a last layer"
    return last


@contextmanager
def features_of(network: nn.Module) -> Iterator[list[Tensor]]:
    """Yield a list that collects the input of the last layer whenever the network runs."""
    seen: list[Tensor] = []
    hook = last_of(network).register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    try:
        yield seen
    finally:
        hook.remove()


def edges(labels: Tensor) -> Tensor:
    """Find the labelled pixels that touch one of another class, corners included.

    Args:
        labels: (images, height, width), 255 where unlabelled; those are no edge.

    Example:
        >>> edges(torch.tensor([[[0, 0, 0, 1, 255], [0, 0, 0, 0, 255]]])).int().tolist()
        [[[0, 0, 1, 1, 0], [0, 0, 1, 1, 0]]]
    """
    known = labels != IGNORE
    ids = labels.float()
    # a pixel is on an edge if the largest and the smallest id around it differ
    highest = functional.max_pool2d(ids.where(known, -torch.inf)[:, None], 3, 1, 1)[:, 0]
    lowest = -functional.max_pool2d((-ids).where(known, -torch.inf)[:, None], 3, 1, 1)[:, 0]
    return known & (highest != lowest)


def edge_loss(scores: Tensor, labels: Tensor) -> Tensor:
    """Cross-entropy in which edges weigh as much as all other pixels (Xie and Tu, 2015).

    Args:
        scores: (images, height, width) logits of being on an edge.
        labels: (images, height, width), 255 where unlabelled; those are ignored.
    """
    on_edge, known = edges(labels), labels != IGNORE
    cost = functional.binary_cross_entropy_with_logits(scores, on_edge.float(), reduction="none")
    halves = [(cost * part).sum() / part.sum().clamp(min=1) for part in (on_edge, known & ~on_edge)]
    return torch.stack(halves).mean()
