"""Compare maps with labels in one pass: each window is read once, for all measures."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoseg.accuracy import Confusion, Floats
from geoseg.accuracy.boundary import BoundaryCounts
from geoseg.accuracy.segments import ObjectMatches
from geoseg.classes import ClassScheme
from geoseg.errors import ApartError, ConfigError, InputError
from geoseg.labels import LabelLayer, open_labels
from geoseg.maps.land_map import LandMap, open_land_maps
from geoseg.raster.drivers import SUFFIXES
from geoseg.steps.evaluate.counters import (
    BlockCount,
    BoundaryCounter,
    ConfidenceCounter,
    Counter,
    PixelCounter,
)
from geoseg.steps.evaluate.object_counter import ObjectCounter
from geoseg.steps.evaluate.object_ids import objects_of
from geoseg.steps.evaluate.options import EvaluateOptions
from geoseg.steps.evaluate.windows import ComparedWindows, block_px

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class MapCounts:
    """Counts of one map.

    Attributes:
        path: the map.
        confusion: (classes, classes) pixels, truth by row.
        area: (classes, classes) square metres; NaN where the CRS is not tied to the ground.
        blocks: pixels by block.
        outlines: pixels near outlines.
        objects: matched and unmatched objects.
        tallied: (2, 101) wrong and right pixels by percent of confidence; None without one.
        whole: whether every mapped pixel was counted.
    """

    path: Path
    confusion: Confusion
    area: Floats
    blocks: list[BlockCount]
    outlines: BoundaryCounts
    objects: ObjectMatches
    tallied: Confusion | None
    whole: bool


@dataclass(frozen=True, eq=False)
class Comparison:
    """Counts of all maps.

    Attributes:
        scheme: the classes.
        countable: ids of the classes whose objects were matched.
        block_px: side of the blocks in pixels.
        maps: counts of the maps that share pixels with the truth.
    """

    scheme: ClassScheme
    countable: tuple[int, ...]
    block_px: int
    maps: list[MapCounts]


def open_maps(
    paths: Sequence[Path], options: EvaluateOptions, truth: str | None = None
) -> list[LandMap]:
    """Open maps of the same classes; polygons on the grid of ``--like``, else of a truth raster.

    Raises:
        InputError: a map cannot be read, or its classes differ from the first's.
    """
    is_raster = truth is not None and Path(truth).suffix.lower() in SUFFIXES
    like = options.like or (truth if is_raster else None)
    return open_land_maps(paths, classes=options.classes, like=like)


def compare(maps: Sequence[LandMap], truth: str, options: EvaluateOptions) -> Comparison:
    """Count maps against labels.

    Args:
        maps: maps of the same classes.
        truth: polygons, a label raster, or a folder of label rasters.
        options: what to count.

    Raises:
        ConfigError: an option names a class that the maps do not have.
        GridError: a map overlaps the chips' scenes on another grid.
        InputError: maps and truth cannot be compared, or share no labelled pixel.
    """
    scheme = maps[0].scheme
    countable, side = _countable(scheme, options), block_px(options, maps)
    counted = [_count(each, truth, options, countable, side) for each in maps]
    found = [each for each in counted if each is not None and each.confusion.any()]
    if not found:
        raise InputError(
            "map and truth share no labelled pixel",
            where=", ".join(str(each.path) for each in maps),
            got=f"truth {truth}",
            fix="open both in QGIS; check --chips, --split and --area",
        )
    return Comparison(scheme, countable, side, found)


def _countable(scheme: ClassScheme, options: EvaluateOptions) -> tuple[int, ...]:
    """Ids of the classes to match as objects: as named, else those with right-angled footprints."""
    strange = [name for name in options.objects if name not in scheme.names]
    if strange:
        raise ConfigError(
            "no such class", where="--objects", got=strange[0], wanted=", ".join(scheme.names)
        )
    return tuple(
        index
        for index, each in enumerate(scheme.classes)
        if each.name in options.objects or (each.regularize and not options.objects)
    )


def _count(
    land_map: LandMap, truth: str, options: EvaluateOptions, countable: tuple[int, ...], side: int
) -> MapCounts | None:
    try:
        layer = LabelLayer(truth, land_map.scheme, options.column, options.layer)
        labels = open_labels(layer, land_map.geobox)
        windows = ComparedWindows(land_map, labels, options, margin=options.boundary)
    except ApartError as error:
        logger.info("%s: nothing to compare: %s", land_map.path, error)
        return None
    classes = len(land_map.scheme.classes)
    pixels = PixelCounter(classes, land_map.geobox, side)
    outlines = BoundaryCounter(classes, options.boundary)
    objects = ObjectCounter(
        objects_of(labels, countable, land_map.geobox),
        objects_of(land_map.classes, countable, land_map.geobox),
        classes,
    )
    confidence = ConfidenceCounter(land_map.confidence) if land_map.confidence else None
    counters: list[Counter] = [pixels, outlines]
    counters += [objects] if countable else []
    counters += [confidence] if confidence is not None else []
    for compared in windows:
        for counter in counters:
            counter.add(compared)
    return MapCounts(
        land_map.path,
        pixels.confusion,
        pixels.area,
        pixels.blocks(),
        outlines.counts,
        objects.matches(),
        None if confidence is None else confidence.tallied,
        windows.whole,
    )


def total(maps: Sequence[MapCounts]) -> tuple[Confusion, Floats]:
    """Confusion matrices of all maps together, (classes, classes), in pixels and square metres."""
    confusion: Confusion = np.sum([each.confusion for each in maps], axis=0)
    area: Floats = np.sum([each.area for each in maps], axis=0)
    return confusion, area
