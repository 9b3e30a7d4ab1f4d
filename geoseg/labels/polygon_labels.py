"""Labels from a polygon layer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.classes import ClassScheme, CodeLookup
from geoseg.errors import ClassError
from geoseg.grid import Window
from geoseg.labels.label_layer import LabelLayer
from geoseg.vector import Polygons, rasterize, read_polygons


@dataclass(frozen=True, eq=False)
class PolygonLabels:
    """Polygons that are rasterized window by window.

    Attributes:
        polygons: the polygons, in the CRS of the grid.
        geobox: the scene's grid.
    """

    polygons: Polygons
    geobox: GeoBox

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width); the scheme's ``outside`` where no polygon lies."""
        return rasterize(self.polygons, grid.crop(self.geobox, window))


def read_polygon_labels(layer: LabelLayer, geobox: GeoBox) -> PolygonLabels:
    """Read the polygons of a label layer that meet a scene.

    Raises:
        ApartError: no polygon meets the grid.
        VectorError: the layer cannot be read.
        ClassError: codes that belong to no class.
        UnsafeError: the file would make GDAL open or run something else.
    """
    (path,) = layer.files()
    polygons = read_polygons(
        path,
        layer.scheme,
        crs=grid.crs_of(geobox),
        bounds=grid.bounds(geobox),
        layer=layer.layer,
        column=layer.column,
        refuse=unknown_label_codes,
    )
    return PolygonLabels(polygons, geobox)


def unknown_label_codes(found: CodeLookup, scheme: ClassScheme, where: Path) -> ClassError:
    """The error for label codes that belong to no class."""
    return ClassError(
        f"{len(found.unknown)} label code(s) belong to no class",
        where=where,
        got=found.list_unknown(),
        wanted=scheme.list_codes(),
        fix="add them to values: in the class file, or set unmapped: ignore",
    )
