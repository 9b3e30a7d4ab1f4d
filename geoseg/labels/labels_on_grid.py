"""Labels opened for the grid of a scene."""

from __future__ import annotations

from functools import lru_cache
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import files
from geoseg.errors import VectorError
from geoseg.grid import Window
from geoseg.labels.label_layer import LabelLayer
from geoseg.labels.polygon_labels import read_polygon_labels
from geoseg.labels.raster_labels import open_raster_labels
from geoseg.raster.drivers import SUFFIXES


class Labels(Protocol):
    """Class ids for any window of a scene."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width); 255 where nothing is labelled."""
        ...


def open_labels(layer: LabelLayer, geobox: GeoBox) -> Labels:
    """Open labels for a scene's grid.

    They are opened once per process and grid, as all its regions share them, and again when one
    of their files has changed.

    Raises:
        ApartError: no label meets the grid.
        VectorError: the polygons cannot be read.
        RasterError: a label raster cannot be read.
        ClassError: codes that belong to no class, or a label raster of several bands.
        UnsafeError: a file would make GDAL open or run something else.
    """
    return _open(layer, geobox, files.stamp_of(layer.inputs()))


@lru_cache(maxsize=64)
def _open(layer: LabelLayer, geobox: GeoBox, _: str) -> Labels:
    paths = layer.files()
    if paths[0].suffix.lower() in SUFFIXES:
        return open_raster_labels(layer, geobox)
    if len(paths) > 1:
        raise VectorError(
            "one polygon layer at a time", where=layer.path, got=f"{len(paths)} files"
        )
    return read_polygon_labels(layer, geobox)
