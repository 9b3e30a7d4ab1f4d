"""Inference: windows of pixels in, class ids and confidence out."""
