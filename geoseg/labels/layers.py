"""Labels on a scene's grid, whether they come as polygons or as rasters."""

from __future__ import annotations

import glob
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid, ground
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ApartError, ClassError, VectorError
from geoseg.grid import Window
from geoseg.raster import FileSource, RasterSource, on_grid
from geoseg.raster.drivers import SUFFIXES
from geoseg.vector import Polygons, rasterize, read_polygons


class Labels(Protocol):
    """Class ids for any window of a scene."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width); 255 where nothing is known."""
        ...


@dataclass(frozen=True)
class LabelLayer:
    """Where labels come from; a small value that every worker opens for itself.

    Attributes:
        path: a polygon layer, a label raster, a folder of label rasters, or a pattern.
        scheme: what the codes mean.
        column: attribute with the code; the scheme's when None.
        layer: layer name in a file of several.
    """

    path: str
    scheme: ClassScheme
    column: str | None = None
    layer: str | None = None

    def files(self) -> list[Path]:
        """The files the labels are read from.

        Raises:
            VectorError: there are none.
        """
        path = Path(self.path)
        if path.is_dir():
            found = sorted(p for p in path.iterdir() if p.suffix.lower() in SUFFIXES)
        elif glob.has_magic(self.path) and not path.exists():
            found = [Path(match) for match in sorted(glob.glob(self.path))]
        else:
            found = [path]
        if not found or not all(each.exists() for each in found):
            raise VectorError("there are no labels", where=self.path, got=f"in {Path.cwd()}")
        return found

    def inputs(self) -> list[Path]:
        """The files, and what lies beside them under their names: .dbf, .prj, -wal, .aux.xml."""
        found = self.files()
        beside = (each.parent.glob(f"{glob.escape(each.stem)}[.-]*") for each in found)
        return sorted({*found, *(path for paths in beside for path in paths if path.is_file())})


def open_labels(layer: LabelLayer, geobox: GeoBox) -> Labels:
    """Open labels for a scene's grid; opened once per process and grid.

    Raises:
        ApartError: no label meets the grid.
        VectorError: the polygons cannot be read.
        RasterError: a label raster cannot be read.
        ClassError: codes that belong to no class.
    """
    return _open(layer, geobox)


@lru_cache(maxsize=64)
def _open(layer: LabelLayer, geobox: GeoBox) -> Labels:
    paths = layer.files()
    if paths[0].suffix.lower() in SUFFIXES:
        sources = _overlapping(paths, geobox)
        if not sources:
            raise ApartError("no label raster meets the scene", where=layer.path)
        return RasterLabels(sources, layer.scheme, geobox)
    if len(paths) > 1:
        raise VectorError(
            "one polygon layer at a time", where=layer.path, got=f"{len(paths)} files"
        )
    polygons = read_polygons(
        paths[0],
        layer.scheme,
        crs=grid.crs_of(geobox),
        bounds=grid.bounds(geobox),
        layer=layer.layer,
        column=layer.column,
    )
    return PolygonLabels(polygons, geobox)


@dataclass(frozen=True, eq=False)
class PolygonLabels:
    """Polygons rasterized per window, from their index."""

    polygons: Polygons
    geobox: GeoBox

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width)."""
        return rasterize(self.polygons, grid.crop(self.geobox, window))


@dataclass(frozen=True, eq=False)
class RasterLabels:
    """Label rasters on a scene's grid; where several lie over each other the first one counts."""

    sources: tuple[RasterSource, ...]
    scheme: ClassScheme
    geobox: GeoBox

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width)."""
        ids = np.full(window.shape, IGNORE, dtype=np.uint8)
        for source in self.sources:
            block = on_grid(source, self.geobox, "nearest").read(window)
            use = block.valid & (ids == IGNORE)
            ids[use] = self._translate(block.pixels[0][use], source.name)
        return ids

    def _translate(self, codes: NDArray[np.generic], name: str) -> NDArray[np.uint8]:
        distinct, places = np.unique(codes, return_inverse=True)
        return self.scheme.ids(distinct.tolist(), where=name)[places]


def _overlapping(paths: list[Path], geobox: GeoBox) -> tuple[RasterSource, ...]:
    sources: list[RasterSource] = []
    for path in paths:
        source = FileSource(path)
        if len(source.bands) > 1:
            raise ClassError("a label raster has one band", where=path, got=len(source.bands))
        if ground.meet(source.geobox, geobox):
            sources.append(source)
    return tuple(sources)
