"""Polygons with which a user assigns ground to train, val and test, in one of three ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from geoseg.chips.split_areas import read_areas
from geoseg.errors import ConfigError
from geoseg.labels import LabelLayer
from geoseg.raster import RasterSource
from geoseg.steps.tile.options import TileOptions
from geoseg.vector import Polygons

COLUMN = "split"


def read_given_areas(
    sources: Sequence[RasterSource], labels: LabelLayer, options: TileOptions
) -> list[Polygons | None]:
    """The areas that meet each scene; None for a scene without any.

    Raises:
        ConfigError: the options name areas in two ways, or a split column of label rasters.
        ClassError: an area names no split.
        VectorError: the areas cannot be read.
        ChipsError: areas of different splits overlap.
    """
    path, column, layer = _chosen(labels, options)
    if path is None:
        return [None] * len(sources)
    return [read_areas(path, each.geobox, column=column, layer=layer) for each in sources]


def _chosen(labels: LabelLayer, options: TileOptions) -> tuple[Path | None, str | None, str | None]:
    """Path, column and layer of the areas."""
    if options.test_area and (options.areas or options.split_column):
        raise ConfigError("--test-area goes with neither --areas nor --split-column")
    if options.test_area:
        return options.test_area, None, None
    if options.areas:
        return options.areas, options.split_column or COLUMN, None
    if options.split_column:
        (path, *others) = labels.files()
        if others:
            raise ConfigError("--split-column needs a single polygon layer", where=labels.path)
        return path, options.split_column, labels.layer
    return None, None, None
