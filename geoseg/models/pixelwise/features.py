"""Features of single pixels: bands, texture around the pixel, or the superpixel it belongs to."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from geoseg.models.architectures import Features
from geoseg.models.input_scaling import divisors
from geoseg.models.saved.spec import ModelSpec
from geoseg.raster.block import Mask, Pixels

type FloatArray = NDArray[np.float32]

SIGMAS = (1.0, 4.0, 3)
"""Smallest and largest Gaussian blur in pixels, and their number: 1, 2 and 4."""
RADIUS = 20
"""Radius in pixels that texture depends on. scikit-image cuts Gaussians off at 4 sigma, 16 px for
the largest blur; gradients and Hessians need a few more."""
CELL = 128
"""Side in pixels of the cells that superpixels do not cross, so that they are the same in every
window."""
SUPERPIXEL_AREA = 64
"""Mean area in pixels."""
COMPACTNESS = 0.5
"""Weight of distance against similarity in SLIC, in standard deviations of the bands."""
TEXTURE_WINDOW = 512
"""Side of windows in pixels. Texture adds 12 numbers per band and pixel, so windows are small."""


def stride_of(features: Features) -> int:
    """Number of pixels that windows must start at multiples of."""
    return CELL if features == "superpixel" else 1


def halo_of(features: Features) -> int:
    """Radius in pixels that features depend on."""
    return RADIUS if features == "texture" else 0


def features_of(pixels: Pixels, valid: Mask, spec: ModelSpec) -> FloatArray:
    """Compute the features of every pixel.

    Args:
        pixels: (bands, height, width), as stored; meaningless where not valid.
        valid: (height, width).
        spec: scaling of the bands, and kind of features.

    Returns:
        (features, height, width). The bands come first, scaled, and 0 (the mean) where not valid;
        then blurred bands, edge strength and curvature (texture), or the mean and the standard
        deviation of each band over the superpixel.
    """
    scaled = _scaled(pixels, valid, spec)
    if spec.features == "texture":
        return np.concatenate([scaled, *map(_texture, scaled)])
    if spec.features == "superpixel":
        return np.concatenate([scaled, _superpixels(scaled)])
    return scaled


def _scaled(pixels: Pixels, valid: Mask, spec: ModelSpec) -> FloatArray:
    mean = np.asarray(spec.mean, np.float32)[:, None, None]
    std = np.asarray(divisors(spec.std), np.float32)[:, None, None]
    # divided, where networks multiply by the reciprocal: saved forests were fitted to these floats
    scaled: FloatArray = (pixels.astype(np.float32) - mean) / std
    scaled[:, ~valid] = 0
    return scaled


def _texture(band: FloatArray) -> FloatArray:
    """Blur, edge strength and two curvatures at three scales, (12, height, width)."""
    from skimage import feature

    smallest, largest, count = SIGMAS
    found: FloatArray = feature.multiscale_basic_features(  # type: ignore[no-untyped-call]
        band, sigma_min=smallest, sigma_max=largest, num_sigma=count, workers=1
    )
    return np.moveaxis(found, -1, 0)


def _superpixels(scaled: FloatArray) -> FloatArray:
    """Mean and standard deviation of each band over the superpixel, (2 bands, height, width)."""
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
