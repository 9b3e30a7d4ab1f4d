"""Count the pairs of truth and map over windows of one grid."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg import accuracy, grid, style
from geoseg.accuracy import Confusion
from geoseg.chips import LabelLayer, open_chips, open_labels
from geoseg.chips.labels import PolygonLabels
from geoseg.classes import IGNORE, ClassScheme
from geoseg.errors import ApartError, ConfigError, GridError, InputError
from geoseg.grid import Window
from geoseg.raster import FileSource, open_scene
from geoseg.raster.drivers import SUFFIXES
from geoseg.steps.evaluate import EvaluateOptions
from geoseg.vector import read_polygons

logger = logging.getLogger(__name__)
WINDOW_PX = 2048


class Classes(Protocol):
    """Class ids for any window of a grid."""

    def read(self, window: Window) -> NDArray[np.uint8]:
        """Class ids, (height, width), 255 where there are none."""
        ...


def compare(
    maps: Sequence[Path], truth: str, options: EvaluateOptions
) -> tuple[Confusion, ClassScheme]:
    """The confusion matrix of all maps together, and the classes it counts.

    Raises:
        InputError: maps and truth cannot be compared, or share no pixel.
    """
    counted = [_count(each, truth, options) for each in maps]
    confusions, schemes = zip(*counted, strict=True)
    for each, scheme in zip(maps, schemes, strict=True):
        if scheme != schemes[0]:
            raise InputError("has other classes than the first map", where=each, got=scheme.names)
    total: Confusion = np.sum(confusions, axis=0)
    if not total.any():
        raise InputError(
            "map and truth share no labelled pixel",
            where=", ".join(map(str, maps)),
            got=f"truth {truth}",
            fix="look at both in QGIS; check --chips, --split and --area",
        )
    return total, schemes[0]


def _count(mapped: Path, truth: str, options: EvaluateOptions) -> tuple[Confusion, ClassScheme]:
    classes, scheme, geobox = _open_map(mapped, truth, options)
    confusion = np.zeros((len(scheme.classes),) * 2, dtype=np.int64)
    try:
        labels = open_labels(LabelLayer(truth, scheme, options.column, options.layer), geobox)
        inside = _area(options.area, geobox)
    except ApartError as error:
        logger.info("%s: nothing to compare: %s", mapped, error)
        return confusion, scheme
    for window in _windows(geobox, options):
        known = labels.read(window)
        if inside is not None:
            known[inside.read(window) == IGNORE] = IGNORE
        if (known != IGNORE).any():
            confusion += accuracy.count(known, classes.read(window), len(confusion))
    return confusion, scheme


def report(confusion: Confusion, scheme: ClassScheme) -> dict[str, Any]:
    """A confusion matrix as the JSON value `evaluate` returns."""
    scores = accuracy.scores(confusion)
    always = accuracy.majority(confusion)
    columns = ("iou", "f1", "precision", "recall")
    return {
        "miou": _plain(scores.miou),
        "overall_accuracy": _plain(accuracy.overall(confusion)),
        "n_pixels": int(confusion.sum()),
        "classes": [
            {
                "id": index,
                "name": name,
                **{column: _plain(getattr(scores, column)[index]) for column in columns},
                "support": int(scores.support[index]),
            }
            for index, name in enumerate(scheme.names)
        ],
        "confusion": confusion.tolist(),
        "majority": {
            "name": scheme.names[int(always.sum(axis=0).argmax())],
            "miou": _plain(accuracy.scores(always).miou),
            "overall_accuracy": _plain(accuracy.overall(always)),
        },
    }


def _plain(value: float) -> float | None:
    return None if np.isnan(value) else round(float(value), 6)


@dataclass(frozen=True)
class _ClassRaster:
    source: FileSource
    scheme: ClassScheme
    by_value: bool

    def read(self, window: Window) -> NDArray[np.uint8]:
        block = self.source.read(window)
        values, places = np.unique(block.pixels[0], return_inverse=True)
        ids = self.scheme.ids(values, where=self.source.name) if self.by_value else values
        return np.where(block.valid, ids[places], IGNORE).astype(np.uint8)


def _open_map(
    mapped: Path, truth: str, options: EvaluateOptions
) -> tuple[Classes, ClassScheme, GeoBox]:
    raster = mapped / "classes.tif" if mapped.is_dir() else mapped
    if raster.suffix.lower() in SUFFIXES:
        source = FileSource(raster)
        scheme, by_value = style.scheme_of(raster, options.classes)
        return _ClassRaster(source, scheme, by_value), scheme, source.geobox
    if options.classes is None:
        raise ConfigError("polygons do not say all their classes", where=mapped, fix="--classes")
    scheme = style.load_scheme(options.classes)
    like = options.like or (Path(truth) if Path(truth).suffix.lower() in SUFFIXES else None)
    if like is None:
        raise ConfigError("polygons have no grid to count on", where=mapped, fix="--like scene.tif")
    geobox = open_scene(like).geobox
    polygons = read_polygons(
        mapped, _by_id(scheme), crs=grid.crs_of(geobox), bounds=grid.bounds(geobox)
    )
    return PolygonLabels(polygons, geobox), scheme, geobox


def _by_id(scheme: ClassScheme) -> ClassScheme:
    """The scheme for polygons that carry class ids instead of label codes."""
    classes = tuple(
        each.model_copy(update={"values": (index,), "burn": "centre"})
        for index, each in enumerate(scheme.classes)
    )
    return ClassScheme(classes=classes, column="class_id")


def _area(path: Path | None, geobox: GeoBox) -> PolygonLabels | None:
    if path is None:
        return None
    everything = ClassScheme.model_validate(
        {"classes": [{"name": "area", "color": "#000000", "values": "*"}]}
    )
    bounds = grid.bounds(geobox)
    return PolygonLabels(
        read_polygons(path, everything, crs=grid.crs_of(geobox), bounds=bounds), geobox
    )


def _windows(geobox: GeoBox, options: EvaluateOptions) -> Iterable[Window]:
    everything = grid.whole(geobox.shape)
    if options.chips is None:
        return grid.split(everything, WINDOW_PX)
    chips = open_chips(options.chips)
    for index, scene in enumerate(chips.spec.scenes):
        if grid.misfit(scene.geobox, geobox) is None:
            held = (w.intersect(everything) for w in chips.windows(index, options.split))
            return [window for window in held if window is not None]
    if not any(grid.meet(scene.geobox, geobox) for scene in chips.spec.scenes):
        return grid.split(everything, WINDOW_PX)
    raise GridError(
        "the map is on the grid of none of the chips' scenes, but meets one of them",
        where=options.chips,
        got=grid.misfit(chips.spec.scenes[0].geobox, geobox),
        fix="hold out an area with --area instead",
    )
