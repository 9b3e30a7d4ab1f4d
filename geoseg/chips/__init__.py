"""Training chips: cut from scenes and labels, stored once, split by space."""

from geoseg.chips.labels import LabelLayer, open_labels
from geoseg.chips.store import ChipSet, ChipSpec, open_chips

__all__ = ["ChipSet", "ChipSpec", "LabelLayer", "open_chips", "open_labels"]
