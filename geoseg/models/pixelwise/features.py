"""What a pixel is told apart by: its bands, what lies around it, or the patch it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geoseg.models.saved.spec import Features, ModelSpec
from geoseg.raster.block import Mask, Pixels

type FloatArray = NDArray[np.float32]

SIGMAS = (1.0, 4.0, 3)
"""Smallest and largest blur in pixels, and how many: 1, 2, 4."""
RADIUS = 20
"""Pixels that the texture of a pixel depends on: 4 sigma of the largest blur, and differences."""
CELL = 128
"""Superpixels never cross a grid of such cells, so that they are the same in every window."""
SUPERPIXEL_AREA = 64
COMPACTNESS = 0.5
"""How much nearness counts beside likeness, in standard deviations of the bands."""
TEXTURE_WINDOW = 512
"""Texture takes a dozen numbers for each band: smaller windows keep them in memory."""


def stride_of(features: Features) -> int:
    """Windows start at multiples of it."""
    return CELL if features == "superpixel" else 1


def halo_of(features: Features) -> int:
    """Pixels around a core that its features depend on."""
    return RADIUS if features == "texture" else 0


def look(pixels: Pixels, valid: Mask, spec: ModelSpec) -> FloatArray:
    """The features of every pixel.

    Args:
        pixels: (bands, height, width), as stored; meaningless where not valid.
        valid: (height, width).
        spec: scaling, and which features.

    Returns:
        (features, height, width). The bands come first, scaled, and 0 (the mean) where not valid;
        then blurred bands, edges and curvature (texture), or the mean and the spread of each band
        over the superpixel.
    """
    scaled = _scaled(pixels, valid, spec)
    if spec.features == "texture":
        return np.concatenate([scaled, *map(_texture, scaled)])
    if spec.features == "superpixel":
        return np.concatenate([scaled, _patches(scaled)])
    return scaled


def _scaled(pixels: Pixels, valid: Mask, spec: ModelSpec) -> FloatArray:
    mean = np.asarray(spec.mean, np.float32)[:, None, None]
    std = np.asarray([each if each > 0 else 1 for each in spec.std], np.float32)[:, None, None]
    scaled: FloatArray = (pixels.astype(np.float32) - mean) / std
    scaled[:, ~valid] = 0
    return scaled


def _texture(band: FloatArray) -> FloatArray:
    """(12, height, width): blur, edge strength and two curvatures at three scales."""
    from skimage import feature

    smallest, largest, count = SIGMAS
    found: FloatArray = feature.multiscale_basic_features(  # type: ignore[no-untyped-call]
        band, sigma_min=smallest, sigma_max=largest, num_sigma=count, workers=1
    )
    return np.moveaxis(found, -1, 0)


def _patches(scaled: FloatArray) -> FloatArray:
    """(2 bands, height, width): mean and spread of each band over the pixel's superpixel."""
    bands, height, width = scaled.shape
    found = np.empty((2 * bands, height, width), np.float32)
    for cell in _cells(height, width):
        found[:, *cell] = _statistics(scaled[:, *cell])
    return found


def _cells(height: int, width: int) -> Iterator[tuple[slice, slice]]:
    for row in range(0, height, CELL):
        for col in range(0, width, CELL):
            yield slice(row, row + CELL), slice(col, col + CELL)


def _statistics(cell: FloatArray) -> FloatArray:
    from skimage.segmentation import slic

    labels = slic(
        np.moveaxis(cell, 0, -1),
        n_segments=max(1, cell[0].size // SUPERPIXEL_AREA),
        compactness=COMPACTNESS,
        channel_axis=-1,
        convert2lab=False,
        start_label=0,
    ).ravel()
    counts = np.maximum(np.bincount(labels), 1)
    found = []
    for band in cell.reshape(len(cell), -1).astype(np.float64):
        mean = np.bincount(labels, band) / counts
        spread = np.sqrt(np.maximum(np.bincount(labels, band**2) / counts - mean**2, 0))
        found += [(mean, spread)]
    both = [mean for mean, _ in found] + [spread for _, spread in found]
    return np.stack([each[labels] for each in both]).reshape(-1, *cell.shape[1:]).astype(np.float32)
