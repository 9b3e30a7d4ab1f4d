"""Random shapes: blobs, meanders, contours, and land divided into plots."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from math import cos, hypot, pi, sin

import numpy as np
import scipy.fft
import shapely
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter1d
from shapely import LineString, Polygon
from shapely.geometry.base import BaseGeometry
from shapely.ops import split
from skimage.measure import find_contours

Points = NDArray[np.float64]
"""Coordinates in metres, (n, 2): x to the east, y to the north."""


@dataclass(frozen=True, slots=True)
class Feature:
    """A polygon of one label value; ``heading`` is the direction of its rows, in radians."""

    geometry: Polygon
    value: str
    heading: float = 0.0


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, int], grain: float
) -> NDArray[np.float32]:
    """Gaussian noise of mean 0 and deviation 1, blurred by ``grain`` pixels.

    Blurred in Fourier space: the time does not depend on the grain.
    """
    height, width = (scipy.fft.next_fast_len(n, real=True) for n in shape)
    white = rng.standard_normal((height, width), dtype=np.float32)
    rows, cols = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    blur = np.exp(-2 * (pi * grain) ** 2 * (rows**2 + cols**2)).astype(np.float32)
    blur[0, 0] = 0
    noise = scipy.fft.irfft2(scipy.fft.rfft2(white) * blur, s=(height, width))
    noise = noise[: shape[0], : shape[1]]
    return np.asarray(noise / noise.std(), dtype=np.float32)


def ripple(rng: np.random.Generator, amplitude_m: float) -> Callable[[Points], Points]:
    """A smooth displacement of the plane that bends straight lines, and folds nothing."""
    waves = rng.normal(0, 2 * pi / 1400, (6, 2))
    phases = rng.uniform(0, 2 * pi, 6)
    pushes = rng.normal(0, amplitude_m / 6**0.5, (6, 2))

    def bend(points: Points) -> Points:
        return np.asarray(points + np.sin(points @ waves.T + phases) @ pushes)

    return bend


def blob(rng: np.random.Generator, centre: Points, radius_m: float, wobble: float = 0.2) -> Polygon:
    """A smooth closed shape around ``centre`` of about the area of a circle."""
    angle = np.linspace(0, 2 * pi, 72, endpoint=False)
    order = np.arange(2, 7)
    size = rng.normal(0, wobble, order.size) * 2.3 / order**1.6
    waves = np.cos(np.outer(angle, order) + rng.uniform(0, 2 * pi, order.size))
    radius = radius_m * np.clip(1 + waves @ size, 0.45, 1.5)
    outline = centre + radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return Polygon(outline)


def meander(
    rng: np.random.Generator, start: Points, heading: float, length_m: float, loop_m: float
) -> Points:
    """The course of a river, one point every 12 m, at least 400.

    A sine-generated curve (Langbein and Leopold 1966, USGS Professional Paper 422-H): its
    direction swings like a sine of the distance along the course; both swing and loop length
    wander.
    """
    step = 12.0
    count = max(int(length_m / step), 400)
    pace, swing, drift = (smooth_noise(rng, (1, count), 40)[0] for _ in range(3))
    phase = np.cumsum(2 * pi * step / loop_m * np.exp(0.25 * pace)) + rng.uniform(0, 2 * pi)
    direction = heading + 1.05 * np.clip(1 + 0.3 * swing, 0.3, 1.4) * np.sin(phase) + 0.12 * drift
    steps = step * np.stack([np.cos(direction), np.sin(direction)], axis=1)
    return np.asarray(start + np.cumsum(steps, axis=0))


def contours(field: NDArray[np.float32], level: float, cell_m: float) -> list[Polygon]:
    """Smooth polygons around where ``field`` is above ``level``; holes are kept."""
    padded = np.pad(field, 1, constant_values=level - 1)
    rings = find_contours(padded, level)  # type: ignore[no-untyped-call]
    lines = [LineString((line[:, ::-1] - 1) * cell_m) for line in rings]
    area = shapely.build_area(shapely.multilinestrings(lines))
    return polygons(area.simplify(cell_m / 8).buffer(0))


def rounded(line: LineString, sigma: float = 1.5) -> LineString:
    """The line with rounded corners; its ends stay."""
    points = shapely.get_coordinates(shapely.segmentize(line, 25))
    margin = min(len(points) - 1, 8)
    padded = np.pad(points, ((margin, margin), (0, 0)), mode="reflect", reflect_type="odd")
    smooth = gaussian_filter1d(padded, sigma, axis=0)[margin:-margin]
    smooth[[0, -1]] = points[[0, -1]]
    return LineString(smooth)


def rectangle(centre: Points, length_m: float, width_m: float, heading: float) -> Polygon:
    """A rectangle whose length points along ``heading`` (radians, from east to north)."""
    along = np.array([cos(heading), sin(heading)]) * length_m / 2
    across = np.array([-sin(heading), cos(heading)]) * width_m / 2
    signs = ((-1, -1), (1, -1), (1, 1), (-1, 1))
    return Polygon([centre + a * along + b * across for a, b in signs])


def subdivide(
    rng: np.random.Generator, land: Polygon, heading: float, area_m2: float, ratio: float
) -> Iterator[Polygon]:
    """Divide land by straight lines into plots of about ``area_m2``, longer along ``heading``.

    Args:
        rng: decides where the cuts lie.
        land: what is cut; the plots partition it.
        heading: direction of the plots, in radians from east to north.
        area_m2: plots larger than about this are cut again.
        ratio: length over width of a plot.
    """
    if land.area < area_m2 * rng.uniform(0.9, 1.9):
        yield land
        return
    axes = np.array([[cos(heading), sin(heading)], [-sin(heading), cos(heading)]])
    corners = shapely.get_coordinates(land) @ axes.T
    low, high = corners.min(axis=0), corners.max(axis=0)
    axis = 0 if high[0] - low[0] > ratio * (high[1] - low[1]) else 1
    ends = np.array([low - 1, high + 1])
    ends[:, axis] = low[axis] + (high[axis] - low[axis]) * rng.uniform(0.38, 0.62)
    for part in polygons(split(land, LineString(ends @ axes))):
        yield from subdivide(rng, part, heading, area_m2, ratio)


def long_axis(land: Polygon) -> float:
    """The direction of the longer side of the smallest rectangle around ``land``."""
    corners = shapely.get_coordinates(land.minimum_rotated_rectangle)
    sides = np.diff(corners[:3], axis=0)
    east, north = max(sides, key=lambda side: hypot(*side))
    return float(np.arctan2(north, east))


def polygons(*geometries: BaseGeometry) -> list[Polygon]:
    """The polygons in some geometries, without slivers."""
    parts = shapely.get_parts(shapely.get_parts(list(geometries)))
    return [part for part in parts if isinstance(part, Polygon) and part.area > 1]
