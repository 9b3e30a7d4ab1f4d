"""Training chips: cut from scenes and labels, stored once, split in space."""

from geoseg.chips.chip_set import ChipSet, ChipSpec, open_chips
from geoseg.labels.layers import LabelLayer, open_labels

__all__ = ["ChipSet", "ChipSpec", "LabelLayer", "open_chips", "open_labels"]
