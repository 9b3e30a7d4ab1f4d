"""A finished map: its files, what belongs to them, and how they are read back."""
