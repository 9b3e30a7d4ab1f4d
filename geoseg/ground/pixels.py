"""How large the pixels of a grid are on the ground."""

from __future__ import annotations

from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.ground.plane import (
    Plane,
    azimuthal,
    is_transverse,
    outside,
    places,
    plane_of,
)
from geoseg.ground.polygons import enclosed_m2
from geoseg.ground.surface import Floats, latitudes, radian_m, surface_of, zone_m2

LEAST, SPACING = 32, 64
"""Of a window's rows and columns at least so many are measured, and one in so many, where areas
change along rows; a cubic spline through them is right to 1e-9 on a map of a hemisphere."""
NODES = 129
"""Rows and columns of a table of areas that change along rows."""
ROWS = 4097
"""Rows of a table of areas that do not: between them a straight line is right to 1e-7."""


def gsd_m(geobox: GeoBox) -> float:
    """Ground sampling distance in metres: the mean side of the pixel at the grid's centre.

    Measured on the CRS's own ellipsoid, so that degrees and Web Mercator give true metres, on
    other bodies than the Earth too.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid's centre.
    """
    lon, lat = _centre(geobox)
    geod = surface_of(grid.crs_of(geobox).proj).geod
    sides = geod.inv([lon[0], lon[0]], [lat[0], lat[0]], lon[1:], lat[1:])[2]
    return float(sum(sides) / 2)


def _centre(geobox: GeoBox) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of the centre, a column beyond it and a row beyond it, in degrees.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the centre.
    """
    surface = surface_of(grid.crs_of(geobox).proj)
    height, width = geobox.shape
    col, row = width / 2, height / 2
    lon, lat = surface.lonlat(
        *places(geobox, np.array([col, col + 1, col]), np.array([row, row, row + 1]))
    )
    if not np.isfinite([lon, lat]).all() or abs(lat[0]) > 90:
        x, y = geobox.affine @ (col, row)
        raise GridError(
            "the raster's centre lies outside its CRS",
            got=f"{x:.8g}, {y:.8g} in {surface.crs.name}",
            wanted="coordinates that have a longitude and latitude",
            fix="check the CRS and the geotransform: geoseg info",
        )
    return lon, lat


def pixel_area_m2(geobox: GeoBox) -> float | None:
    """The area of a pixel in square metres; None where pixels differ.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.
    """
    unit_m2 = plane_of(geobox).unit_m2
    return None if unit_m2 is None else abs(float(geobox.affine.determinant)) * unit_m2


def pixel_areas_m2(geobox: GeoBox, window: Window) -> Floats:
    """The area of each pixel of a window, in square metres.

    Args:
        geobox: the grid.
        window: which of its pixels.

    Returns:
        An array that broadcasts to (height, width): (1, 1) where all pixels of the grid are of
        one size, (height, 1) where those of a row are.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.
    """
    plane, size = plane_of(geobox), pixel_area_m2(geobox)
    if size is not None:
        return np.full((1, 1), size)
    edges = np.arange(window.row, window.row + window.height + 1, dtype=float)
    if _is_by_row(plane, geobox):
        return _row_areas(plane, geobox, edges[:-1])[:, None]
    rows, cols = (
        np.linspace(start, start + side - 1, min(side, LEAST + side // SPACING))
        for start, side in ((window.row, window.height), (window.col, window.width))
    )
    known, whole = _sampled(geobox, rows, cols)
    degree = 3 if whole else 1
    known = _interpolated(known, rows, edges[:-1], 0, degree)
    return _interpolated(known, cols, np.arange(window.col, window.stop[1], dtype=float), 1, degree)


def area_table(geobox: GeoBox) -> Floats:
    """The area of pixels evenly spread from the first to the last row and column, in m2.

    A straight line between two of them gives the areas of the pixels between.

    Returns:
        (rows, cols); a single row or column where areas do not change along it.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.
    """
    plane, size, (height, width) = plane_of(geobox), pixel_area_m2(geobox), geobox.shape
    if size is not None:
        return np.full((1, 1), size)
    if _is_by_row(plane, geobox):
        rows = np.linspace(0, height - 1, min(height, ROWS))
        return _row_areas(plane, geobox, rows)[:, None]
    rows, cols = (np.linspace(0, side - 1, min(side, NODES)) for side in (height, width))
    return _sampled(geobox, rows, cols)[0]


def steps_m(geobox: GeoBox) -> Floats:
    """(2, 2) metres right and up for a step of a column and a step of a row, at the centre.

    Columns of the array are the steps. Right and up are east and north, but in transverse
    Mercator, which is measured in its own plane, those of the plane.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.
    """
    plane, (height, width) = plane_of(geobox), geobox.shape
    affine = geobox.affine
    if is_transverse(plane):
        linear = np.array([[affine.a, affine.b], [affine.d, affine.e]])
        return np.asarray(linear, dtype=np.float64)
    if plane.surface.is_straight:
        centre = np.full(1, height / 2), np.full(1, width / 2)
        return np.asarray(_steps_at(plane, geobox, *centre)[0], dtype=np.float64)
    lon, lat = _centre(geobox)
    to_metres = azimuthal(plane.surface, float(lon[0]), float(lat[0]))
    cols = width / 2 + np.array([-0.5, 0.5, 0, 0])
    rows = height / 2 + np.array([0, 0, -0.5, 0.5])
    east, north = to_metres(*places(geobox, cols, rows))
    return np.array([[each[1] - each[0], each[3] - each[2]] for each in (east, north)])


def row_steps_m(geobox: GeoBox) -> Floats:
    """(rows, 2) the length of a pixel's upper side and of its left side, in metres.

    Returns:
        Rows evenly spread from the first to the last where lengths change with the row alone;
        else a single one, of the grid's centre.

    Raises:
        GridError: the CRS is not tied to the ground, or does not reach the grid.
    """
    plane, (height, width) = plane_of(geobox), geobox.shape
    if not _is_by_row(plane, geobox):
        return np.asarray(np.hypot(*steps_m(geobox))[None], dtype=np.float64)
    rows = np.linspace(0, height - 1, min(height, ROWS))
    cols = np.full(len(rows), width / 2)
    upper = np.abs(_steps_at(plane, geobox, rows, cols)[:, 0, 0])
    high = np.abs(_steps_at(plane, geobox, rows + 0.5, cols)[:, 1, 1])
    return np.stack([upper, high], axis=1)


def areas_by_value(values: NDArray[Any], areas: Floats, count: int) -> Floats:
    """(count,) the area that each value from 0 to count - 1 has; larger values do not count.

    Args:
        values: whole numbers.
        areas: of their pixels, as `pixel_areas_m2` gives them.
        count: how many values there are.
    """
    if areas.size == 1:
        return np.bincount(values.ravel(), minlength=count)[:count] * np.float64(areas.item())
    weights = np.broadcast_to(areas, values.shape).ravel()
    return np.bincount(values.ravel(), weights, minlength=count)[:count]


def _is_by_row(plane: Plane, geobox: GeoBox) -> bool:
    """Whether all pixels of a row are of one size."""
    return plane.surface.is_straight and geobox.affine.b == geobox.affine.d == 0


def _row_areas(plane: Plane, geobox: GeoBox, rows: Floats) -> Floats:
    """The area of a pixel in each row, which lies between two parallels.

    Args:
        plane: of a surface that is straight.
        geobox: north-up or south-up.
        rows: whole numbers or places between them.
    """
    x, y = places(geobox, np.zeros(1), np.append(rows, rows + 1))
    lat = latitudes(plane.surface, float(x[0]), y).reshape(2, -1)
    return np.abs(zone_m2(lat[0], lat[1], plane.surface.geod)) * _turn(plane, geobox)


def _turn(plane: Plane, geobox: GeoBox) -> float:
    """Radians of longitude from a column to the next."""
    x, y = places(geobox, np.array([0.0, 1.0]), np.zeros(2))
    east, _ = plane.to_metres(x, y)
    return abs(float(east[1] - east[0])) / plane.surface.geod.a


def _steps_at(plane: Plane, geobox: GeoBox, rows: Floats, cols: Floats) -> Floats:
    """(n, 2, 2) metres east and north for a step of a column and a step of a row.

    Args:
        plane: of a surface that is straight.
        geobox: the grid.
        rows: (n,) places from its corner.
        cols: (n,) the same across.
    """
    surface, geod, steps = plane.surface, plane.surface.geod, []
    x0, y = places(geobox, cols, rows)
    for right, down in ((0.5, 0.0), (0.0, 0.5)):
        ends = [places(geobox, cols + side * right, rows + side * down) for side in (-1, 1)]
        east = [plane.to_metres(*end)[0] / geod.a for end in ends]
        lat = [latitudes(surface, float(x0[0]), end[1]) for end in ends]
        per_lon, per_lat = radian_m(latitudes(surface, float(x0[0]), y), geod)
        steps.append(np.stack([per_lon * (east[1] - east[0]), per_lat * (lat[1] - lat[0])], -1))
    return np.stack(steps, axis=-1)


def _sampled(geobox: GeoBox, rows: Floats, cols: Floats) -> tuple[Floats, bool]:
    """(rows, cols) areas of pixels, and whether the CRS reaches them all.

    Those that it does not reach get the area of the nearest one that it does.

    Args:
        geobox: the grid.
        rows: upper edges of the pixels.
        cols: left edges.
    """
    top, left = (each.ravel() for each in np.meshgrid(rows, cols, indexing="ij"))
    corners = [
        np.stack(places(geobox, left + right, top + down), axis=-1)
        for right, down in ((0, 0), (1, 0), (1, 1), (0, 1))
    ]
    plane = plane_of(geobox)
    areas = enclosed_m2(shapely.polygons(np.stack(corners, axis=1)), geobox, plane)
    areas = areas.reshape(len(rows), len(cols))
    lost = ~np.isfinite(areas)
    if lost.all():
        raise outside(plane.surface)
    if not lost.any():
        return areas, True
    from scipy.ndimage import distance_transform_edt

    nearest = distance_transform_edt(lost, return_distances=False, return_indices=True)
    return areas[tuple(nearest)], False


def _interpolated(values: Floats, known: Floats, wanted: Floats, axis: int, degree: int) -> Floats:
    """Values between known places, by a spline."""
    from scipy.interpolate import make_interp_spline

    if len(known) == len(wanted):
        return values
    spline = make_interp_spline(known, values, k=degree, axis=axis)
    return np.asarray(spline(wanted), dtype=np.float64)
