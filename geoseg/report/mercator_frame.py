"""The grid of a map's pictures on web Mercator, the projection of web maps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyproj
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj.exceptions import ProjError

from geoseg import grid

RADIUS_M = 6_378_137.0
"""Radius of the sphere that web maps project from."""
WORLD_M = np.pi * RADIUS_M
"""Half the side of the square that they show, which ends at 85.05 degrees north and south."""
POINTS = 65
"""Points along each side of a grid that its extent on the plane is measured with."""


@dataclass(frozen=True)
class Frame:
    """A grid in web Mercator with its central meridian on the map, so that no map is split at 180.

    Attributes:
        geobox: the grid.
        centre_deg: longitude of the central meridian.
        shrunk: pixels of the map per pixel of the frame, along a side; at least 1.
        cut: whether the map reaches beyond the latitudes that web maps show.
    """

    geobox: GeoBox
    centre_deg: float
    shrunk: float
    cut: bool

    @property
    def resolution_m(self) -> float:
        """Side of a pixel on the plane, in projected metres."""
        return float(self.geobox.affine.a)

    @property
    def crs(self) -> pyproj.CRS:
        """The projection."""
        found: pyproj.CRS = grid.crs_of(self.geobox).proj
        return found

    def corners(self) -> list[list[float]]:
        """Longitude and latitude of the upper left, upper right, lower right and lower left.

        Longitudes continue beyond 180 where the frame crosses the antimeridian.
        """
        height, width = self.geobox.shape
        plane = [
            self.geobox.affine @ at for at in ((0, 0), (width, 0), (width, height), (0, height))
        ]
        return [
            [round(value, 9) for value in pair] for pair in self.lonlat(np.array(plane)).tolist()
        ]

    def lonlat(self, plane: NDArray[np.float64]) -> NDArray[np.float64]:
        """(n, 2) longitudes and latitudes in degrees of (n, 2) points on the plane.

        The inverse of the spherical Mercator projection: Snyder (1987), Map projections: a
        working manual, equations 7-4 and 7-5.
        """
        lon = self.centre_deg + np.degrees(plane[:, 0] / RADIUS_M)
        lat = np.degrees(2 * np.arctan(np.exp(plane[:, 1] / RADIUS_M)) - np.pi / 2)
        return np.stack([lon, lat], axis=1)


def frame_of(geobox: GeoBox, most_px: int) -> Frame | None:
    """Fit a frame around a grid, with pixels of the grid's size or larger.

    Args:
        geobox: the grid of the map.
        most_px: longest side of the frame.

    Returns:
        The frame; None where the map lies around a pole, or its CRS is not tied to the Earth.
    """
    crs = grid.crs_of(geobox).proj
    height, width = geobox.shape
    try:
        to_lonlat = pyproj.Transformer.from_crs(crs, "OGC:CRS84", always_xy=True)
        lon, lat = to_lonlat.transform(*(geobox.affine @ (width / 2, height / 2)))
        if not np.isfinite([lon, lat]).all() or _holds_a_pole(geobox, to_lonlat):
            return None
        lon = round(float(lon), 6)
        # EPSG:3857 has its central meridian at Greenwich, and would split maps across 180 degrees.
        plane = pyproj.CRS.from_proj4(f"+proj=webmerc +datum=WGS84 +lon_0={lon} +units=m")
        to_plane = pyproj.Transformer.from_crs(crs, plane, always_xy=True)
        xs, ys = to_plane.transform(*_places(geobox, *_outline(geobox)))
    except ProjError:
        return None
    # PROJ gives infinity for the poles, which is where Mercator has them.
    ys = np.nan_to_num(ys, posinf=2 * WORLD_M, neginf=-2 * WORLD_M)
    if not np.isfinite(xs).all() or np.ptp(xs) == 0:
        return None
    bounds = xs.min(), max(ys.min(), -WORLD_M), xs.max(), min(ys.max(), WORLD_M)
    natural = _step(geobox, to_plane)
    longest = max(bounds[2] - bounds[0], bounds[3] - bounds[1])
    shrunk = max(1.0, longest / natural / most_px)
    cut = bool(ys.max() > WORLD_M or ys.min() < -WORLD_M)
    return Frame(_grid(bounds, natural * shrunk, plane), lon, shrunk, cut)


def _grid(bounds: tuple[float, float, float, float], step: float, plane: pyproj.CRS) -> GeoBox:
    left, bottom, right, top = bounds
    shape = max(1, round((top - bottom) / step)), max(1, round((right - left) / step))
    return GeoBox(shape, Affine(step, 0, left, 0, -step, top), plane.to_wkt())


def _outline(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Columns and rows of points along the outline of a grid."""
    height, width = geobox.shape
    along, ends = np.linspace(0, 1, POINTS), np.repeat([0.0, 1.0], POINTS)
    cols = np.concatenate([np.tile(along, 2), ends]) * width
    rows = np.concatenate([ends, np.tile(along, 2)]) * height
    return cols, rows


def _places(
    geobox: GeoBox, cols: NDArray[np.float64], rows: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b, c, d, e, f = tuple(geobox.affine)[:6]
    return a * cols + b * rows + c, d * cols + e * rows + f


def _step(geobox: GeoBox, to_plane: pyproj.Transformer) -> float:
    """Shorter side on the plane of the pixel at the grid's centre."""
    row, col = geobox.shape[0] / 2, geobox.shape[1] / 2
    cols, rows = np.array([col, col + 1, col]), np.array([row, row, row + 1])
    xs, ys = to_plane.transform(*_places(geobox, cols, rows))
    return float(np.hypot(xs[1:] - xs[0], ys[1:] - ys[0]).min())


def _holds_a_pole(geobox: GeoBox, to_lonlat: pyproj.Transformer) -> bool:
    """Whether a pole lies inside a projected map, so that all longitudes meet in it."""
    if grid.crs_of(geobox).proj.is_geographic:
        return False
    xs, ys = to_lonlat.transform(
        np.zeros(2), np.array([90.0, -90.0]), direction=pyproj.enums.TransformDirection.INVERSE
    )
    height, width = geobox.shape
    at = [~geobox.affine @ place for place in zip(xs, ys, strict=True) if np.isfinite(place).all()]
    return any(0 < col < width and 0 < row < height for col, row in at)
