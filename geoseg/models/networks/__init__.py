"""Segmentation networks, and the parts they are built from."""
