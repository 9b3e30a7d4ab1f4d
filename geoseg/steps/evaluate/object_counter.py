"""Matching objects of truth and map, window by window."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from geoseg.accuracy.segments import ObjectMatches, Segments, match
from geoseg.steps.evaluate.object_ids import MapObjects, WindowObjects
from geoseg.steps.evaluate.windows import ComparedWindow


class ObjectCounter:
    """Objects of truth and map; memory grows with their number, not with the raster.

    Args:
        truth: objects of the truth.
        mapped: objects of the map.
        classes: number of classes.
    """

    def __init__(self, truth: MapObjects, mapped: MapObjects, classes: int) -> None:
        self.classes = classes
        self._truth, self._mapped = _Side(truth), _Side(mapped)
        self._pairs: list[NDArray[np.int64]] = []

    def add(self, compared: ComparedWindow) -> None:
        """Count a window."""
        truth = self._truth.add(compared, compared.core(compared.truth))
        mapped = self._mapped.add(compared, compared.core(compared.mapped))
        both = compared.counted & (truth.pixels > 0) & (mapped.pixels > 0)
        width = len(mapped.names) + 1
        keys = truth.pixels[both].astype(np.int64) * width + mapped.pixels[both]
        keys, shared = np.unique(keys, return_counts=True)
        one, other = truth.names[keys // width - 1], mapped.names[keys % width - 1]
        self._pairs.append(np.stack([one, other, shared], axis=1))

    def matches(self) -> ObjectMatches:
        """Match the objects of all windows added."""
        truth, position = self._truth.segments()
        mapped, other_position = self._mapped.segments()
        one, other, shared = np.concatenate([np.empty((0, 3), np.int64), *self._pairs]).T
        met = np.stack([position[one], other_position[other]], axis=1)
        pairs, places = np.unique(met, axis=0, return_inverse=True)
        total = np.bincount(places.ravel(), shared, minlength=len(pairs)).astype(np.int64)
        return match(truth, mapped, pairs, total, self.classes)


class _Side:
    """Objects of truth or map, with their pixels."""

    def __init__(self, objects: MapObjects) -> None:
        self.objects = objects
        self._rows: list[NDArray[np.int64]] = []

    def add(self, compared: ComparedWindow, ids: NDArray[np.uint8]) -> WindowObjects:
        found = self.objects.number(compared.window, ids)
        count = len(found.names) + 1
        whole = np.bincount(found.pixels.ravel(), minlength=count)[1:]
        counted = np.bincount(found.pixels[compared.counted], minlength=count)[1:]
        self._rows.append(np.stack([found.names, found.ids, counted, whole], axis=1))
        return found

    def segments(self) -> tuple[Segments, NDArray[np.int64]]:
        """The objects, and the position of each name among them."""
        roots = self.objects.roots()
        names, ids, counted, whole = np.concatenate([np.empty((0, 4), np.int64), *self._rows]).T
        seen, position = np.unique(roots, return_inverse=True)
        place = position[names]
        of = np.zeros(len(seen), dtype=np.uint8)
        of[place] = ids
        totals = [
            np.bincount(place, each, minlength=len(seen)).astype(np.int64)
            for each in (counted, whole)
        ]
        return Segments(of, *totals), position.astype(np.int64)
