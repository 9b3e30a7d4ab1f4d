"""Labels as class ids on the grid of a scene, from polygons or from rasters."""

from geoseg.labels.label_layer import LabelLayer
from geoseg.labels.labels_on_grid import Labels, open_labels
from geoseg.labels.polygon_labels import PolygonLabels
from geoseg.labels.raster_labels import RasterLabels

__all__ = ["LabelLayer", "Labels", "PolygonLabels", "RasterLabels", "open_labels"]
