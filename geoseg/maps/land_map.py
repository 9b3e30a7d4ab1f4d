"""Class ids of a map, read window by window: from a map directory, a raster, or polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid, style
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ClassError, ConfigError, InputError
from geoseg.grid import Window
from geoseg.job import read_record
from geoseg.labels import Labels, PolygonLabels
from geoseg.layout import CLASSES, CONFIDENCE, RECORD
from geoseg.raster import FileSource, open_scene
from geoseg.raster.drivers import SUFFIXES
from geoseg.vector import read_polygons

WINDOW_PX = 2048
"""Side of the windows in which maps are read: 4 MiB of class ids."""


@dataclass(frozen=True)
class LandMap:
    """An open map.

    Attributes:
        path: as it was given.
        classes: the class ids.
        scheme: the classes.
        geobox: the grid.
        confidence: probability of the mapped class in percent, on the same grid; None where the
            map has none.
    """

    path: Path
    classes: Labels
    scheme: ClassScheme
    geobox: GeoBox
    confidence: FileSource | None = None

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width); 255 without data, and for ids that are not in the scheme."""
        ids = self.classes.read(window)
        ids[ids >= len(self.scheme.classes)] = IGNORE
        return ids


def open_land_maps(
    paths: Sequence[Path], *, classes: Path | None = None, like: str | Path | None = None
) -> list[LandMap]:
    """Open maps that share one class scheme.

    Args:
        paths: map directories, class rasters, or polygons with a class_id.
        classes: class file, for maps that do not carry their classes.
        like: raster on whose grid polygons are compared.

    Raises:
        ConfigError: polygons without a class file or a grid.
        ClassError: a raster without known classes.
        InputError: a map cannot be read, or has other classes than the first.
    """
    opened = [_open_land_map(each, classes, like) for each in paths]
    for each in opened:
        if each.scheme != opened[0].scheme:
            names = each.scheme.names
            raise InputError("has other classes than the first map", where=each.path, got=names)
    return opened


def open_area(path: Path, geobox: GeoBox) -> Labels:
    """Open polygons as a mask: class 0 for pixels whose centre they cover, 255 elsewhere.

    Raises:
        ApartError: no polygon meets the grid.
        VectorError: the polygons cannot be read.
    """
    everything = ClassScheme.model_validate(
        {"classes": [{"name": "area", "color": "#000000", "values": "*"}]}
    )
    crs, bounds = grid.crs_of(geobox), grid.bounds(geobox)
    return PolygonLabels(read_polygons(path, everything, crs=crs, bounds=bounds), geobox)


@dataclass(frozen=True)
class _ClassRaster:
    source: FileSource
    scheme: ClassScheme
    by_value: bool

    def read(self, window: Window) -> NDArray[np.uint8]:
        block = self.source.read(window)
        codes, ids = block.pixels[0], np.full(window.shape, IGNORE, dtype=np.uint8)
        if self.by_value:
            ids[block.valid] = self._ids(codes[block.valid])
        else:
            known = block.valid & (codes >= 0) & (codes < IGNORE)
            ids[known] = codes[known]
        return ids

    def _ids(self, codes: NDArray[Any]) -> NDArray[np.uint8]:
        values, places, counts = np.unique(codes, return_inverse=True, return_counts=True)
        found = self.scheme.look_up(values, counts)
        if found.unknown:
            raise ClassError(
                f"{len(found.unknown)} pixel value(s) of the map belong to no class",
                where=self.source.name,
                got=found.list_unknown("px here"),
                wanted=self.scheme.list_codes(),
                fix="give the class file the map was made with: --classes",
            )
        return found.ids[places]


def _open_land_map(path: Path, classes: Path | None, like: str | Path | None) -> LandMap:
    raster = path / CLASSES if path.is_dir() else path
    if raster.suffix.lower() not in SUFFIXES:
        return _open_polygons(path, classes, like)
    source = FileSource(raster)
    scheme, by_value = style.scheme_of(raster, classes)
    pixels = _ClassRaster(source, scheme, by_value)
    return LandMap(path, pixels, scheme, source.geobox, _confidence(raster, source.geobox))


def _confidence(raster: Path, geobox: GeoBox) -> FileSource | None:
    """The layer beside the classes, where it holds probabilities.

    Margin and entropy are in percent too, but calibration compares confidence with the share of
    correct pixels, and only a probability can equal that.
    """
    beside = raster.with_name(CONFIDENCE)
    if raster.name == CONFIDENCE or not beside.is_file():
        return None
    record = read_record(raster.with_name(RECORD))
    if record is not None and record.options.get("confidence", "probability") != "probability":
        return None
    source = FileSource(beside)
    return source if grid.misfit(geobox, source.geobox) is None else None


def _open_polygons(path: Path, classes: Path | None, like: str | Path | None) -> LandMap:
    if classes is None:
        raise ConfigError("polygons do not name all their classes", where=path, fix="--classes")
    scheme = style.load_scheme(classes)
    if like is None:
        raise ConfigError("polygons have no grid to count on", where=path, fix="--like scene.tif")
    geobox = open_scene(like).geobox
    polygons = read_polygons(
        path, _by_id(scheme), crs=grid.crs_of(geobox), bounds=grid.bounds(geobox)
    )
    return LandMap(path, PolygonLabels(polygons, geobox), scheme, geobox)


def _by_id(scheme: ClassScheme) -> ClassScheme:
    """The scheme for polygons that carry class ids instead of label codes.

    Burned by pixel centres whatever the class says, so that polygons of a map give back its
    pixels.
    """
    classes = tuple(
        each.model_copy(update={"values": (index,), "burn": "centre"})
        for index, each in enumerate(scheme.classes)
    )
    return ClassScheme(classes=classes, column="class_id")
