"""A class raster to polygons that share every edge."""

from geoseg.grid import Source
from geoseg.trace.regions import Regions, collect
from geoseg.trace.rules import DouglasPeucker, Rules, Visvalingam
from geoseg.trace.source import ArraySource
from geoseg.trace.tracing import Spread, threads, trace

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
