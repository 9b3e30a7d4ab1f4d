"""Maps of several scenes to one map on one grid: warped once, the highest confidence wins."""

from geoseg.mosaic.join_maps import Mosaic, join_maps
from geoseg.mosaic.mosaic_grid import mosaic_grid

__all__ = ["Mosaic", "join_maps", "mosaic_grid"]
