"""Training chips: cut from scenes and labels, stored once, split in space."""

from geoseg.chips.chip_set import ChipSet, ChipSpec, open_chips

__all__ = ["ChipSet", "ChipSpec", "open_chips"]
