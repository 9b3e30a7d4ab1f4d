"""Cartographic generalization of boundaries, done once for both their sides."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from geoseg.polygonize.arcs import arcs_of, ring_points
from geoseg.polygonize.band import Finished
from geoseg.polygonize.metric import metric_of
from geoseg.polygonize.rules import Rules
from geoseg.polygonize.simplify import simplified
from geoseg.polygonize.smooth import smoothed

if TYPE_CHECKING:
    from odc.geo.geobox import GeoBox


def shaped(finished: Finished, rules: Rules, geobox: GeoBox) -> Finished:
    """Simplify, then smooth, the boundaries of all regions of a raster.

    The whole network is held in memory, as whether a corner may go depends on all corners near it.
    """
    height, width = geobox.shape
    arcs = arcs_of(finished.corners, finished.starts)
    if rules.simplify is not None:
        arcs = simplified(arcs, rules.simplify, metric_of(geobox), (height, width))
    arcs = smoothed(arcs, rules.smooth, (height, width))
    points, starts = ring_points(arcs)
    return replace(finished, corners=points, starts=starts)
