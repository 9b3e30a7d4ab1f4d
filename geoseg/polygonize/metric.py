"""What a pixel measures on the ground."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyproj
from numba import njit
from numpy.typing import NDArray

from geoseg import grid

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox

NODES = 129
"""Pixel areas are computed at up to NODES x NODES places and interpolated between them."""

FINE = 1 << 16
"""Areas and lengths are counted in whole parts of a pixel's: the order of adding cannot matter."""


@dataclass(frozen=True, eq=False)
class Metric:
    """Areas and lengths of pixels, as whole numbers of some unit.

    Attributes:
        unit_m2: the unit of areas.
        areas: the area of a pixel at evenly spaced places from the first to the last pixel, down
            and across; a single one where all are equal.
        width: the length of a pixel's upper side, in a unit of its own.
        height: the length of its left side, in the same unit.
        metres: (2, 2) metres east and north for a step right and a step down, at the centre.
    """

    unit_m2: float
    areas: NDArray[np.float64]
    width: int
    height: int
    metres: NDArray[np.float64]


def metric_of(geobox: GeoBox) -> Metric:
    """Measure the pixels of a grid: in the plane for transverse Mercator CRSs, else on the ground.

    Away from transverse Mercator, areas are taken in Lambert's azimuthal equal-area projection
    around the raster's centre, which keeps them everywhere.
    """
    affine = geobox.affine
    metres = np.array([[affine.a, affine.b], [affine.d, affine.e]])
    areas, unit = np.ones((1, 1)), abs(float(affine.determinant))
    if not _is_planar(geobox):
        height, width = geobox.shape
        rows = np.linspace(0.5, height - 0.5, min(height, NODES))
        cols = np.linspace(0.5, width - 0.5, min(width, NODES))
        steps = _steps(geobox, *np.meshgrid(rows, cols, indexing="ij"))
        areas_m2 = np.abs(np.linalg.det(steps))
        unit = float(areas_m2.mean()) / FINE
        areas = areas_m2 / unit
        metres = _steps(geobox, np.array(height / 2), np.array(width / 2))
    sides = np.hypot(*metres)
    wide, high = np.rint(sides / sides.max() * FINE).astype(int)
    return Metric(unit, areas, int(wide), int(high), metres)


def _is_planar(geobox: GeoBox) -> bool:
    """Whether lengths and areas may be taken in the plane: transverse Mercator in metres."""
    crs = grid.crs_of(geobox).proj
    operation = crs.coordinate_operation
    metres = crs.is_projected and crs.axis_info[0].unit_conversion_factor == 1
    return metres and operation is not None and operation.method_name == "Transverse Mercator"


def _steps(
    geobox: GeoBox, rows: NDArray[np.float64], cols: NDArray[np.float64]
) -> NDArray[np.float64]:
    """(..., 2, 2) metres for a step right and a step down at some places of a grid."""
    affine, equal_area = geobox.affine, _equal_area(geobox)

    def moved(down: float, right: float) -> NDArray[np.float64]:
        at_cols, at_rows = cols + right, rows + down
        x = affine.a * at_cols + affine.b * at_rows + affine.c
        y = affine.d * at_cols + affine.e * at_rows + affine.f
        return np.stack(equal_area.transform(x, y), axis=-1)

    right, down = moved(0, 0.5) - moved(0, -0.5), moved(0.5, 0) - moved(-0.5, 0)
    return np.stack([right, down], axis=-1)


def _equal_area(geobox: GeoBox) -> pyproj.Transformer:
    crs = grid.crs_of(geobox).proj
    height, width = geobox.shape
    centre = geobox.affine @ (width / 2, height / 2)
    lon, lat = pyproj.Transformer.from_crs(crs, 4326, always_xy=True).transform(*centre)
    laea = pyproj.CRS.from_proj4(f"+proj=laea +lat_0={lat} +lon_0={lon} +datum=WGS84 +units=m")
    return pyproj.Transformer.from_crs(crs, laea, always_xy=True)


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
