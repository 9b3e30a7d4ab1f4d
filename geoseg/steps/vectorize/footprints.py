"""Right-angled footprints for the classes that want them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
from odc.geo.geobox import GeoBox

from geoseg import grid, ground
from geoseg.classes import ClassScheme
from geoseg.steps.vectorize.rows import Rows
from geoseg.vector.regularize import regularize

TOLERANCE_PX = 1.0
"""Tried on rectangles and L shapes of 6 to 18 pixels, in any direction: 0.7 leaves stairs, and
from 1.25 on corners are lost."""


def with_footprints(batches: Iterable[Rows], scheme: ClassScheme, geobox: GeoBox) -> Iterator[Rows]:
    """Yield the regions; those of classes with ``regularize`` last, as right-angled footprints.

    These must not overlap each other, which is known when there are no more: they are kept until
    then, about a kilobyte each.

    Args:
        batches: the regions.
        scheme: says which classes want it.
        geobox: the grid of the classes.
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
    rows = Rows.joined(kept)
    tolerance_m = TOLERANCE_PX * ground.gsd_m(geobox)
    geometries = regularize(rows.geometries, grid.crs_of(geobox).proj, tolerance_m)
    yield replace(rows, geometries=geometries)
