"""Finished maps: their files, the layers that belong to them, and reading them back."""
