"""Validation samples: pixels drawn from maps, looked up by people, and read back."""
