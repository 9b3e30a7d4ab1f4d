"""Class names and colours as styles for QGIS, GDAL and map servers, and back."""

from geoseg.style.pam import raster_pam
from geoseg.style.qml import (
    confidence_qml,
    imagery_qml,
    is_written_here,
    labels_qml,
    outlines_qml,
    polygons_qml,
    raster_qml,
)
from geoseg.style.read_styles import load_scheme, scheme_of
from geoseg.style.sld import confidence_sld, polygons_sld, raster_sld

__all__ = [
    "confidence_qml",
    "confidence_sld",
    "imagery_qml",
    "is_written_here",
    "labels_qml",
    "load_scheme",
    "outlines_qml",
    "polygons_qml",
    "polygons_sld",
    "raster_pam",
    "raster_qml",
    "raster_sld",
    "scheme_of",
]
