"""Areas of the pixels of a map, row by row."""

from __future__ import annotations

import logging

import numpy as np
import shapely
from odc.geo.geobox import GeoBox

from geoseg.accuracy import Floats
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.vector.measure import areas_m2

logger = logging.getLogger(__name__)


def row_areas_m2(window: Window, geobox: GeoBox) -> Floats:
    """(height,) the mean area of the pixels of each row of a window.

    NaN where the CRS is not tied to the Earth. In a geographic CRS all pixels of a row are of one
    size; elsewhere scale hardly changes across a window.
    """
    affine, (stop, right) = geobox.affine, window.stop
    rows = np.arange(window.row, stop)
    ends = [(window.col, rows), (right, rows), (right, rows + 1), (window.col, rows + 1)]
    a, b, c, d, e, f = tuple(affine)[:6]
    corners = [
        np.stack([a * x + b * y + c, d * x + e * y + f], axis=-1)
        for x, y in (np.broadcast_arrays(*end) for end in ends)
    ]
    strips = shapely.polygons(np.stack(corners, axis=1))
    try:
        return np.asarray(areas_m2(strips, geobox) / window.width, dtype=np.float64)
    except GridError as error:
        logger.debug("%s", error)
        return np.full(window.height, np.nan)
