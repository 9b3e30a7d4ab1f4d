"""Compare maps with labels: every window once, everything that is counted in it at once."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from geoseg.accuracy import Confusion, Floats
from geoseg.accuracy.boundary import Overlap
from geoseg.accuracy.segments import Found
from geoseg.classes import ClassScheme
from geoseg.errors import ApartError, ConfigError, InputError
from geoseg.maps.sides import LandMap, open_land_map, open_truth
from geoseg.steps.evaluate import EvaluateOptions
from geoseg.steps.evaluate.counters import (
    BlockCount,
    BoundaryCounter,
    ConfidenceCounter,
    Counter,
    PixelCounter,
)
from geoseg.steps.evaluate.object_ids import parts_of
from geoseg.steps.evaluate.objects import ObjectCounter
from geoseg.steps.evaluate.windows import Looks, block_px

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class SceneCount:
    """What was counted of one map.

    Attributes:
        path: the map.
        confusion: (classes, classes) pixels, truth by row.
        area: the same in square metres; NaN where the CRS is not tied to the ground.
        blocks: the same by block.
        outlines: pixels near outlines.
        objects: objects of the classes that have some.
        tallied: (2, 101) wrong and right pixels by confidence; None where there is none.
        whole: whether every pixel of the map was counted.
    """

    path: Path
    confusion: Confusion
    area: Floats
    blocks: list[BlockCount]
    outlines: Overlap
    objects: Found
    tallied: Confusion | None
    whole: bool


@dataclass(frozen=True, eq=False)
class Comparison:
    """What was counted of all maps.

    Attributes:
        scheme: the classes.
        countable: ids of the classes whose objects were counted.
        block_px: side of the blocks.
        scenes: maps that share pixels with the truth.
    """

    scheme: ClassScheme
    countable: tuple[int, ...]
    block_px: int
    scenes: list[SceneCount]


def compare(maps: Sequence[Path], truth: str, options: EvaluateOptions) -> Comparison:
    """Count maps against labels.

    Raises:
        InputError: maps and truth cannot be compared, or share no pixel.
    """
    opened = open_alike(maps, options, truth)
    scheme = opened[0].scheme
    countable, side = _countable(scheme, options), block_px(options, opened)
    counted = [_count(each, truth, options, countable, side) for each in opened]
    scenes = [each for each in counted if each is not None and each.confusion.any()]
    if not scenes:
        raise InputError(
            "map and truth share no labelled pixel",
            where=", ".join(map(str, maps)),
            got=f"truth {truth}",
            fix="look at both in QGIS; check --chips, --split and --area",
        )
    return Comparison(scheme, countable, side, scenes)


def open_alike(
    maps: Sequence[Path], options: EvaluateOptions, truth: str | None = None
) -> list[LandMap]:
    """Open maps of the same classes.

    Raises:
        InputError: their classes differ.
    """
    opened = [open_land_map(each, options, truth) for each in maps]
    for each in opened:
        if each.scheme != opened[0].scheme:
            names = each.scheme.names
            raise InputError("has other classes than the first map", where=each.path, got=names)
    return opened


def _countable(scheme: ClassScheme, options: EvaluateOptions) -> tuple[int, ...]:
    """Ids of the classes that are objects: as named, or those with right-angled footprints."""
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
) -> SceneCount | None:
    try:
        labels = open_truth(truth, land_map, options)
        looks = Looks(land_map, labels, options, margin=options.boundary)
    except ApartError as error:
        logger.info("%s: nothing to compare: %s", land_map.path, error)
        return None
    classes = len(land_map.scheme.classes)
    pixels = PixelCounter(classes, land_map.geobox, side)
    outlines = BoundaryCounter(classes, options.boundary)
    objects = ObjectCounter(
        parts_of(labels, countable, land_map.geobox),
        parts_of(land_map.classes, countable, land_map.geobox),
        classes,
    )
    confidence = ConfidenceCounter(land_map.confidence) if land_map.confidence else None
    counters: list[Counter] = [pixels, outlines]
    counters += [objects] if countable else []
    counters += [confidence] if confidence is not None else []
    for look in looks:
        for counter in counters:
            counter.add(look)
    return SceneCount(
        land_map.path,
        pixels.confusion,
        pixels.area,
        pixels.blocks(),
        outlines.overlap,
        objects.found(),
        None if confidence is None else confidence.tallied,
        looks.whole,
    )


def total(scenes: Sequence[SceneCount]) -> tuple[Confusion, Floats]:
    """The confusion matrices of all maps together: in pixels, and in square metres."""
    confusion: Confusion = np.sum([each.confusion for each in scenes], axis=0)
    area: Floats = np.sum([each.area for each in scenes], axis=0)
    return confusion, area
