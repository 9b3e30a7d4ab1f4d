"""The memory and time that a network costs per pixel."""

from __future__ import annotations

from torch import nn

from geoseg.models.run import memory_cost


def test_the_footprint_counts_what_every_layer_puts_out() -> None:
    """4 channels of every pixel and 8 of every fourth: 4 + 8 / 4 = 6 numbers of 4 bytes."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 2, stride=2))
    found = memory_cost.measure(network, 3)
    assert found.bytes == 24
    assert found.seconds > 0
