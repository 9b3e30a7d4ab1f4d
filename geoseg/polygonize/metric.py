"""Areas and lengths of pixels as whole numbers, so that the order of adding cannot matter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numba import njit
from numpy.typing import NDArray

from geoseg import ground

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

FINE = 1 << 16
"""Lengths are counted in whole parts of the longest side of a pixel."""
TOTAL = 1 << 60
"""Areas that differ are counted in parts of the whole raster, this many of them."""


@dataclass(frozen=True, eq=False)
class Metric:
    """Areas and lengths of pixels, as whole numbers of some unit.

    Attributes:
        unit_m2: the unit of areas.
        areas: the area of a pixel at evenly spaced places from the first to the last pixel, down
            and across; a single one where all are equal.
        sides: (rows, 2) the length of a pixel's upper side and of its left side in a unit of their
            own, at evenly spaced rows; a single row where they do not follow from the row.
        metres: (2, 2) metres right and up for a step right and a step down, at the centre.
    """

    unit_m2: float
    areas: NDArray[np.float64]
    sides: NDArray[np.int64]
    metres: NDArray[np.float64]

    def stretch(self, rows: NDArray[np.float64], height: int) -> NDArray[np.float64]:
        """(n, 2) how much longer than at the centre pixels are, right and down, at some rows.

        Args:
            rows: (n,) places from the raster's upper edge.
            height: of the raster.
        """
        if len(self.sides) == 1:
            return np.ones((len(rows), 2))
        known = np.linspace(0, height - 1, len(self.sides))
        centre = height / 2
        return np.stack(
            [
                np.interp(rows, known, side) / np.interp(centre, known, side)
                for side in self.sides.T
            ],
            axis=1,
        )


def metric_of(geobox: GeoBox) -> Metric:
    """Measure the pixels of a grid.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the raster.
    """
    areas_m2 = ground.area_table(geobox)
    unit, areas = float(areas_m2.flat[0]), np.ones((1, 1))
    if areas_m2.size > 1:
        height, width = geobox.shape
        unit = float(areas_m2.mean()) * height * width / TOTAL
        areas = areas_m2 / unit
    lengths = ground.row_steps_m(geobox)
    sides = np.maximum(np.rint(lengths / lengths.max() * FINE), 1).astype(np.int64)
    return Metric(unit, areas, sides, ground.steps_m(geobox))


@njit(nogil=True, cache=True)
def area_at(areas: NDArray[np.float64], row: float, col: float, height: int, width: int) -> float:
    """The area of a pixel whose centre is (row + 0.5, col + 0.5), between the places known."""
    rows, cols = areas.shape
    y = row / (height - 1) * (rows - 1) if rows > 1 else 0.0
    x = col / (width - 1) * (cols - 1) if cols > 1 else 0.0
    i, j = min(int(y), max(rows - 2, 0)), min(int(x), max(cols - 2, 0))
    below, beyond = min(i + 1, rows - 1), min(j + 1, cols - 1)
    upper = areas[i, j] + (areas[i, beyond] - areas[i, j]) * (x - j)
    lower = areas[below, j] + (areas[below, beyond] - areas[below, j]) * (x - j)
    return float(upper + (lower - upper) * (y - i))


@njit(nogil=True, cache=True)
def sides_at(sides: NDArray[np.int64], row: int, height: int) -> tuple[int, int]:
    """The length of the upper side and of the left side of a row's pixels."""
    rows = len(sides)
    row = max(0, min(row, height - 1))
    at = (row * (rows - 1) + (height - 1) // 2) // (height - 1) if rows > 1 else 0
    return sides[at, 0], sides[at, 1]
