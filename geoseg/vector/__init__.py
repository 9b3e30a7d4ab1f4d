"""Polygon layers: read, written, and painted onto the pixels of a grid."""

import geoseg.gdal  # noqa: F401  (before any libgdal is loaded)
from geoseg.vector.class_polygons import Polygons
from geoseg.vector.feature_batches import Features, LayerPlan
from geoseg.vector.layer_files import files_of
from geoseg.vector.rasterize import rasterize
from geoseg.vector.read_polygons import read_polygons
from geoseg.vector.replaceable import check_replaceable
from geoseg.vector.write_features import check_suffix, write_features, write_polygons

__all__ = [
    "Features",
    "LayerPlan",
    "Polygons",
    "check_replaceable",
    "check_suffix",
    "files_of",
    "rasterize",
    "read_polygons",
    "write_features",
    "write_polygons",
]
