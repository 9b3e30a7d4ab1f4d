"""A class raster to polygons that share every edge."""

from geoseg.boundaries.regions import Regions, collect
from geoseg.boundaries.rules import DouglasPeucker, Rules, Visvalingam
from geoseg.boundaries.source import ArraySource
from geoseg.boundaries.tracing import Spread, threads, trace
from geoseg.grid import Source

__all__ = [
    "ArraySource",
    "DouglasPeucker",
    "Regions",
    "Rules",
    "Source",
    "Spread",
    "Visvalingam",
    "collect",
    "threads",
    "trace",
]
