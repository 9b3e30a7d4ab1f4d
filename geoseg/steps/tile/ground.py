"""Which ground a user gave to train, val and test, in one of three ways."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.chips.split_areas import read_areas
from geoseg.errors import ConfigError
from geoseg.labels.layers import LabelLayer
from geoseg.raster import RasterSource
from geoseg.vector import Polygons

if TYPE_CHECKING:
    from geoseg.steps.tile import TileOptions

COLUMN = "split"


def read_all(
    sources: Sequence[RasterSource], labels: LabelLayer, options: TileOptions
) -> list[Polygons | None]:
    """The areas that meet each scene, None where there are none.

    Raises:
        ConfigError: more than one way was chosen, or labels that are no polygons.
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
            raise ConfigError("--split-column asks for one polygon layer", where=labels.path)
        return path, options.split_column, labels.layer
    return None, None, None
