"""A class raster to polygons that share every edge."""

from geoseg.grid import Source
from geoseg.polygonize.array_source import ArraySource
from geoseg.polygonize.region_polygons import Regions, collect
from geoseg.polygonize.rules import DouglasPeucker, Rules, Visvalingam
from geoseg.polygonize.tracing import Spread, threads, trace

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
