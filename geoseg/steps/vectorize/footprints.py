"""Right-angled footprints for classes with ``regularize: true``, such as buildings."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg import grid, ground
from geoseg.classes import ClassScheme
from geoseg.steps.vectorize.rows import RegionRows
from geoseg.vector.regularize import regularize

TOLERANCE_PX = 1.0
"""Found on rectangles and L shapes of 6 to 18 pixels in all directions: 0.7 leaves steps, and from
1.25 on corners are lost."""


def with_footprints(
    batches: Iterable[RegionRows], scheme: ClassScheme, geobox: GeoBox
) -> Iterator[RegionRows]:
    """Yield all regions, those of classes with ``regularize`` last, as right-angled footprints.

    Footprints must not overlap each other, which can be checked only once all are known. They are
    kept in memory until then, about a kilobyte each.

    Args:
        batches: all regions.
        scheme: its ``regularize`` marks the classes.
        geobox: the grid of the class raster.
    """
    wanted = [i for i, each in enumerate(scheme.classes) if each.regularize]
    kept = []
    for rows in batches:
        now = ~np.isin(rows.ids, wanted)
        if now.any():
            yield rows.take(now)
        if not now.all():
            kept.append(rows.take(~now))
    if not kept:
        return
    rows = RegionRows.joined(kept)
    tolerance_m = TOLERANCE_PX * ground.gsd_m(geobox)
    geometries = regularize(rows.geometries, grid.crs_of(geobox).proj, tolerance_m)
    yield replace(rows, geometries=geometries)
