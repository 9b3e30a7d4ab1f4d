"""The two sides of a comparison, map and truth, on one grid."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import grid, style
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ClassError, ConfigError
from geoseg.grid import Window
from geoseg.job import read_record
from geoseg.labels import LabelLayer, PolygonLabels, open_labels
from geoseg.raster import FileSource, open_scene
from geoseg.raster.drivers import SUFFIXES
from geoseg.steps.evaluate import EvaluateOptions
from geoseg.vector import read_polygons

CONFIDENCE = "confidence.tif"


class Classes(Protocol):
    """Class ids for any window of a grid."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width), 255 where there are none."""
        ...


@dataclass(frozen=True)
class LandMap:
    """A map that is opened.

    Attributes:
        path: as it was given.
        classes: its class ids.
        scheme: what they mean.
        geobox: its grid.
        confidence: how probable it takes itself to be, in percent, where it says so.
    """

    path: Path
    classes: Classes
    scheme: ClassScheme
    geobox: GeoBox
    confidence: FileSource | None = None

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids; 255 where there are none, or one that the scheme does not know."""
        ids = self.classes.read(window)
        ids[ids >= len(self.scheme.classes)] = IGNORE
        return ids


def open_land_map(path: Path, options: EvaluateOptions, like: str | None = None) -> LandMap:
    """Open a map directory, a class raster, or polygons with a class_id.

    Args:
        path: the map.
        options: its class file, and the grid for polygons.
        like: what else polygons may take their grid from, where it is a raster.

    Raises:
        ConfigError: polygons without a class file or a grid.
    """
    raster = path / "classes.tif" if path.is_dir() else path
    if raster.suffix.lower() not in SUFFIXES:
        return _open_polygons(path, options, like)
    source = FileSource(raster)
    scheme, by_value = style.scheme_of(raster, options.classes)
    classes = _ClassRaster(source, scheme, by_value)
    return LandMap(path, classes, scheme, source.geobox, _confidence(raster, source.geobox))


def open_truth(truth: str, land_map: LandMap, options: EvaluateOptions) -> Classes:
    """Open labels on the grid of a map.

    Raises:
        ApartError: they do not meet the map.
    """
    layer = LabelLayer(truth, land_map.scheme, options.column, options.layer)
    return open_labels(layer, land_map.geobox)


def open_area(path: Path, geobox: GeoBox) -> Classes:
    """Polygons of one class on a grid.

    Raises:
        ApartError: they do not meet it.
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


def _confidence(raster: Path, geobox: GeoBox) -> FileSource | None:
    """The layer beside the classes, where it holds probabilities rather than margin or entropy."""
    beside = raster.with_name(CONFIDENCE)
    if raster.name == CONFIDENCE or not beside.is_file():
        return None
    record = read_record(raster.with_name("run.json"))
    if record is not None and record.options.get("confidence", "probability") != "probability":
        return None
    source = FileSource(beside)
    return source if grid.misfit(geobox, source.geobox) is None else None


def _open_polygons(path: Path, options: EvaluateOptions, truth: str | None) -> LandMap:
    if options.classes is None:
        raise ConfigError("polygons do not say all their classes", where=path, fix="--classes")
    scheme = style.load_scheme(options.classes)
    like: str | Path | None = options.like
    if like is None and truth is not None and Path(truth).suffix.lower() in SUFFIXES:
        like = truth
    if like is None:
        raise ConfigError("polygons have no grid to count on", where=path, fix="--like scene.tif")
    geobox = open_scene(like).geobox
    polygons = read_polygons(
        path, _by_id(scheme), crs=grid.crs_of(geobox), bounds=grid.bounds(geobox)
    )
    return LandMap(path, PolygonLabels(polygons, geobox), scheme, geobox)


def _by_id(scheme: ClassScheme) -> ClassScheme:
    """The scheme for polygons that carry class ids instead of label codes."""
    classes = tuple(
        each.model_copy(update={"values": (index,), "burn": "centre"})
        for index, each in enumerate(scheme.classes)
    )
    return ClassScheme(classes=classes, column="class_id")
