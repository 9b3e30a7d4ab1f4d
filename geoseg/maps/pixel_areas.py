"""Areas of the pixels of a map, also of one in a CRS that has none."""

from __future__ import annotations

import logging

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg import ground
from geoseg.accuracy import Floats
from geoseg.errors import GridError
from geoseg.grid import Window

logger = logging.getLogger(__name__)


def known_areas_m2(window: Window, geobox: GeoBox) -> Floats:
    """Areas of a window's pixels, as `ground.pixel_areas_m2`; NaN where they are unknown.

    NaN goes through all sums, so that whatever depends on it is left out of reports.
    """
    try:
        return ground.pixel_areas_m2(geobox, window)
    except GridError as error:
        logger.debug("%s", error)
        return np.full((1, 1), np.nan)
