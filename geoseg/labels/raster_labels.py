"""Labels from one or several rasters of label codes."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import ground
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ApartError, ClassError
from geoseg.grid import Window
from geoseg.labels.label_layer import LabelLayer
from geoseg.raster import FileSource, RasterSource, on_grid


@dataclass(frozen=True, eq=False)
class RasterLabels:
    """Label rasters on a scene's grid; where several overlap, the first one counts.

    Attributes:
        sources: the rasters, each of one band.
        scheme: the classes, and which pixel values mean them.
        geobox: the scene's grid.
    """

    sources: tuple[RasterSource, ...]
    scheme: ClassScheme
    geobox: GeoBox

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width); 255 where no raster has a valid pixel.

        Raises:
            ClassError: pixel values that belong to no class.
            RasterError: a raster cannot be read.
        """
        ids = np.full(window.shape, IGNORE, dtype=np.uint8)
        for source in self.sources:
            # Codes are names, not quantities: nothing between two of them means anything.
            block = on_grid(source, self.geobox, "nearest").read(window)
            use = block.valid & (ids == IGNORE)
            ids[use] = self._ids(block.pixels[0][use], source.name)
        return ids

    def _ids(self, codes: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
        distinct, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
        found = self.scheme.look_up(distinct.tolist(), counts.tolist())
        if found.unknown:
            raise ClassError(
                f"{len(found.unknown)} pixel value(s) of the label raster belong to no class",
                where=name,
                got=found.list_unknown("px here"),
                wanted=self.scheme.list_codes(),
                fix="add them to values: or to ignore: in the class file",
            )
        return found.ids[places]


def open_raster_labels(layer: LabelLayer, geobox: GeoBox) -> RasterLabels:
    """Open the rasters of a label layer that meet a scene.

    Raises:
        ApartError: no raster meets the grid.
        RasterError: a raster cannot be opened.
        ClassError: a raster has several bands.
        UnsafeError: a file would make GDAL open or run something else.
    """
    sources = tuple(_overlapping(layer.files(), geobox))
    if not sources:
        raise ApartError("no label raster meets the scene", where=layer.path)
    return RasterLabels(sources, layer.scheme, geobox)


def _overlapping(paths: list[Path], geobox: GeoBox) -> list[RasterSource]:
    sources: list[RasterSource] = []
    for path in paths:
        source = FileSource(path)
        if len(source.bands) > 1:
            raise ClassError("a label raster has one band", where=path, got=len(source.bands))
        if ground.meet(source.geobox, geobox):
            sources.append(source)
    return sources
