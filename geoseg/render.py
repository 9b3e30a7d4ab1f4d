"""Colours for pixels and class ids."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import IGNORE, ClassScheme

EMPTY = "#d9dee3"
"""Colour of pixels without a class."""


def painted(ids: NDArray[np.uint8], scheme: ClassScheme) -> NDArray[np.uint8]:
    """Class ids, (height, width), in the colours of their classes, over white.

    Returns:
        (height, width, 3) red, green, blue.

    Example:
        >>> scheme = ClassScheme(classes=({"name": "water", "color": "#2b83ba"},))
        >>> painted(np.array([[0, 255]], dtype=np.uint8), scheme).tolist()
        [[[43, 131, 186], [217, 222, 227]]]
    """
    table = np.full((256, 3), 255, dtype=np.uint8)
    table[IGNORE] = [int(EMPTY[i : i + 2], 16) for i in (1, 3, 5)]
    for index, each in enumerate(scheme.classes):
        table[index] = _opaque(each.rgba)
    colours: NDArray[np.uint8] = table[ids]
    return colours


def photo(pixels: NDArray[np.generic], valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Stretch three bands, each between its 2nd and 98th percentile; invalid pixels are white.

    Args:
        pixels: (3, height, width) red, green, blue.
        valid: (height, width) mask of pixels with data.

    Returns:
        (height, width, 3) red, green, blue.
    """
    rgb = np.stack([_stretched(band.astype(float), valid) for band in pixels], axis=-1)
    rgb[~valid] = 255
    return rgb.astype(np.uint8)


def true_colour(bands: Sequence[str]) -> tuple[int, int, int]:
    """Positions of red, green and blue: by name, else the first three bands, else the first one.

    Example:
        >>> true_colour(["B02", "B03", "B04", "B08"]), true_colour(["a", "b", "c"])
        ((2, 1, 0), (0, 1, 2))
        >>> true_colour(["vv", "vh"])
        (0, 0, 0)
    """
    names = [name.lower() for name in bands]
    wanted = [("red", "b04"), ("green", "b03"), ("blue", "b02")]
    found = [next((i for i, n in enumerate(names) if n in alike), None) for alike in wanted]
    red, green, blue = found
    if red is not None and green is not None and blue is not None:
        return red, green, blue
    return (0, 1, 2) if len(names) >= 3 else (0, 0, 0)


def _opaque(rgba: tuple[int, int, int, int]) -> tuple[int, int, int]:
    """A colour with alpha over white."""
    share = rgba[3] / 255
    red, green, blue = (round(share * channel + (1 - share) * 255) for channel in rgba[:3])
    return red, green, blue


def _stretched(band: NDArray[np.float64], valid: NDArray[np.bool_]) -> NDArray[np.float64]:
    if not valid.any():
        return np.full(band.shape, 255.0)
    low, high = np.percentile(band[valid], (2, 98))
    clipped: NDArray[np.float64] = np.clip((band - low) / max(high - low, 1e-9), 0, 1) ** 0.85 * 255
    return clipped
