"""A satellite's view of the landscape: light, shadow, haze, blur, noise and a ragged edge."""

from __future__ import annotations

from collections.abc import Sequence
from math import radians, tan

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.features import rasterize
from scipy.ndimage import distance_transform_edt, gaussian_filter
from scipy.special import ndtri

from geoseg.synthetic.materials import MATERIALS
from geoseg.synthetic.shapes import Feature, smooth_noise

GSD_M = 2.5
FINER = 2
"""Sub-pixels along each side of a pixel: edges between materials become mixed pixels."""
CROWN = 7
"""Mean distance of trees, in sub-pixels."""
SUN_ELEVATION = radians(49)
HAZE = (0.022, 0.013, 0.007, 0.002)
Image = NDArray[np.float32]


def photograph(
    features: Sequence[Feature], rng: np.random.Generator, shape: tuple[int, int]
) -> NDArray[np.uint16]:
    """Surface reflectance times 10000 in blue, green, red and near infrared; 0 is nodata.

    Args:
        features: the landscape, in drawing order, in metres from the south-west corner.
        rng: decides shades and noise.
        shape: (height, width) in pixels of `GSD_M`.

    Returns:
        (4, height, width).
    """
    number = draw(features, shape, FINER)
    light = _light(features, number, rng)
    texture = _texture(features, number[1::FINER, 1::FINER], rng)
    colours = _colours(features, rng)
    terrain, haze = _slopes(rng, shape), _haze(rng, shape)
    bands = []
    for band in range(4):
        seen = _shrunk(colours[band][number] * light) * terrain
        seen *= 1 + texture * (1.0 if band == 3 else -0.6)
        seen = seen * (1 - 2 * HAZE[band] * haze) + HAZE[band] * haze
        bands.append(_recorded(seen, rng))
    return np.asarray(np.stack(bands) * _swath(rng, shape), dtype=np.uint16)


def draw(features: Sequence[Feature], shape: tuple[int, int], finer: int = 1) -> NDArray[np.int32]:
    """The number of the topmost feature at each pixel centre."""
    step = GSD_M / finer
    height, width = shape[0] * finer, shape[1] * finer
    grid = Affine(step, 0, 0, 0, -step, height * step)
    numbered = [(each.geometry, i) for i, each in enumerate(features)]
    return np.asarray(rasterize(numbered, out_shape=(height, width), transform=grid, dtype="int32"))


def _per_feature(features: Sequence[Feature], attribute: str) -> Image:
    values = [getattr(MATERIALS[each.value], attribute) for each in features]
    return np.array(values, dtype=np.float32)


def _colours(features: Sequence[Feature], rng: np.random.Generator) -> list[Image]:
    """The reflectance of each feature, by band."""
    table = np.empty((4, len(features)), dtype=np.float32)
    for i, each in enumerate(features):
        material = MATERIALS[each.value]
        spectrum = np.array(material.spectra[rng.integers(len(material.spectra))])
        table[:, i] = spectrum * np.exp(rng.normal(0, material.spread) + rng.normal(0, 0.03, 4))
    return list(table)


def _light(
    features: Sequence[Feature], number: NDArray[np.int32], rng: np.random.Generator
) -> Image:
    """Sunlight from the south-east reflected by each sub-pixel; 1 on flat, open ground."""
    shape = (number.shape[0], number.shape[1])
    crowns = _crowns(rng, shape)
    treeless = ndtri(1 - _per_feature(features, "trees")).astype(np.float32)
    wooded = smooth_noise(rng, shape, 4) > treeless[number]
    height = wooded * crowns * _per_feature(features, "crown_m")[number]
    height += _per_feature(features, "height_m")[number]
    light = 1 - 0.62 * _shadow(height)
    light[1:, 1:] *= 1 + 0.10 * np.clip(height[:-1, :-1] - height[1:, 1:], -2.5, 2.5)
    return np.asarray(light * np.where(wooded, 0.70 + 0.45 * crowns, 1))


def _crowns(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Tree crowns side by side: 1 at each top, 0 far from any."""
    rows, cols = np.mgrid[: shape[0] : CROWN, : shape[1] : CROWN]
    tops = np.ones(shape, dtype=bool)
    tops[
        np.minimum(rows + rng.integers(0, CROWN, rows.shape), shape[0] - 1),
        np.minimum(cols + rng.integers(0, CROWN, cols.shape), shape[1] - 1),
    ] = False
    away = distance_transform_edt(tops).astype(np.float32)
    return np.asarray(np.clip(1 - (away / (0.8 * CROWN)) ** 2, 0, 1))


def _shadow(height: Image) -> Image:
    """Share of the sunlight blocked by what stands to the south-east, 0 to 1."""
    drop = GSD_M / FINER * 2**0.5 * tan(SUN_ELEVATION)
    shade = np.zeros_like(height)
    for step in range(1, int(height.max() / drop) + 1):
        here, there = shade[:-step, :-step], height[step:, step:]
        np.maximum(here, there - step * drop - height[:-step, :-step], out=here)
    return np.asarray(np.clip(shade / 2.0, 0, 1))


def _texture(
    features: Sequence[Feature], number: NDArray[np.int32], rng: np.random.Generator
) -> Image:
    """Relative change of near infrared within features: patches, and tramlines along rows."""
    shape = (number.shape[0], number.shape[1])
    patches = 0.6 * smooth_noise(rng, shape, 9) + 0.55 * smooth_noise(rng, shape, 1.3)
    patches += 0.6 * smooth_noise(rng, shape, 32)
    heading = np.array([each.heading for each in features], dtype=np.float32)
    turn = 2 * np.pi * GSD_M / _per_feature(features, "row_m")
    rows, cols = np.mgrid[: shape[0], : shape[1]].astype(np.float32)
    phase = (turn * np.sin(heading))[number] * cols + (turn * np.cos(heading))[number] * rows
    lines = (0.5 + 0.5 * np.cos(phase)) ** 5 - 0.25
    mottle, strength = _per_feature(features, "mottle"), _per_feature(features, "rows")
    return np.asarray(np.clip(mottle[number] * patches, -0.5, 0.5) - strength[number] * lines)


def _slopes(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    return np.asarray(
        1 + 0.045 * smooth_noise(rng, shape, 70) + 0.015 * smooth_noise(rng, shape, 3)
    )


def _haze(rng: np.random.Generator, shape: tuple[int, int]) -> Image:
    """Haze in wisps, thicker towards the north-east."""
    north, east = np.linspace(1, 0, shape[0])[:, None], np.linspace(0, 1, shape[1])[None]
    wisps = 0.18 * smooth_noise(rng, shape, 120)
    return np.clip(0.25 + 0.5 * (north + east) + wisps, 0, None).astype(np.float32)


def _shrunk(fine: Image) -> Image:
    height, width = fine.shape
    blocks = fine.reshape(height // FINER, FINER, width // FINER, FINER)
    return np.asarray(blocks.mean(axis=(1, 3)))


def _recorded(seen: Image, rng: np.random.Generator) -> NDArray[np.uint16]:
    """Blurred by the optics, with shot noise and read noise, in counts above nodata."""
    sharp = gaussian_filter(seen, 0.55)
    noise = rng.standard_normal(sharp.shape, dtype=np.float32)
    noisy = sharp + noise * np.sqrt(np.clip(sharp, 0, None) * 6e-5 + 0.0016**2)
    return np.asarray(np.clip(np.rint(noisy * 10_000), 1, 65_535), dtype=np.uint16)


def _swath(rng: np.random.Generator, shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Pixels the sensor covered: all but the north-east corner and strips in the west and south."""
    height, width = shape
    row, col = np.arange(height), np.arange(width)
    west = width * (0.012 + 0.03 * row / height) + _ragged(rng, height)
    south = height * (0.975 - 0.03 * col / width) + _ragged(rng, width)
    corner = 0.8 * width + row * 1.1 * width / height + _ragged(rng, height)
    seen = (col > west[:, None]) & (row[:, None] < south[None])
    return seen & (col < corner[:, None])


def _ragged(rng: np.random.Generator, length: int) -> NDArray[np.float64]:
    """A ragged edge: steps of up to a dozen pixels, each some dozen pixels long."""
    ends = np.cumsum(rng.integers(14, 60, length // 14 + 1))
    return np.asarray(rng.uniform(-9, 9, ends.size)[np.searchsorted(ends, np.arange(length))])
