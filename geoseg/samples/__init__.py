"""Validation samples: points drawn from maps, filled in by people, and read back."""
