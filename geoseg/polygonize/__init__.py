"""From a class raster to polygons that share every edge.

The words, from the raster to the polygon:

- run: pixels of one class side by side in a row (run-length encoding);
- face: a connected component of runs over pixel sides; it becomes one polygon;
- region, or group: a connected component under the chosen connectivity: with 4 a face, with 8 one
  face or several that touch in corners;
- strip, band: some rows, read at once; what is known of rows that have been joined;
- seam: the two rows where strips meet, which are joined as a band of their own;
- node: a corner where three or four boundaries meet; arc: the boundary between two nodes, which
  two rings share, so that simplifying it once keeps both sides alike;
- ring: a closed boundary of a face, a shell or a hole.

The order is: `strip_codes` (read), `runs` (label), `boundary_network` and `rings` (trace), `band`
(join strips), `region_graph` and `region_merging` (small regions), `arcs`, `simplify` and `smooth`
(generalize), `region_polygons` (shapely). `tracing` ties them together.
"""

from geoseg.grid import WindowSource
from geoseg.polygonize.array_source import ArraySource
from geoseg.polygonize.region_polygons import Regions, collect
from geoseg.polygonize.rules import DouglasPeucker, Rules, Visvalingam
from geoseg.polygonize.tracing import Spread, threads, trace

__all__ = [
    "ArraySource",
    "DouglasPeucker",
    "Regions",
    "Rules",
    "Spread",
    "Visvalingam",
    "WindowSource",
    "collect",
    "threads",
    "trace",
]
