"""Grids in UTM zone 33, and schemes for the classes of polygons."""

from __future__ import annotations

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.classes import ClassScheme

UTM = "EPSG:32633"
NORTH_UP = Affine(10.0, 0, 465181.05223, 0, -10.0, 5080254.63349)


def scheme(*names: str, **options: Any) -> ClassScheme:
    burn = options.pop("burn", "centre")
    classes = [{"name": name, "color": "#336699", "burn": burn} for name in names]
    return ClassScheme.model_validate({"classes": classes, **options})


def moved(affine: Affine, cols: Any, rows: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        affine.a * cols + affine.b * rows + affine.c,
        affine.d * cols + affine.e * rows + affine.f,
    )


def bounds_of(geobox: GeoBox) -> tuple[float, float, float, float]:
    found = geobox.boundingbox
    return found.left, found.bottom, found.right, found.top


def grid_of(affine: Affine = NORTH_UP, shape: tuple[int, int] = (96, 128)) -> GeoBox:
    return GeoBox(shape, affine, UTM)


def centres(geobox: GeoBox) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    cols, rows = np.meshgrid(np.arange(geobox.shape[1]) + 0.5, np.arange(geobox.shape[0]) + 0.5)
    return moved(geobox.affine, cols, rows)
