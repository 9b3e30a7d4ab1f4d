"""Regions with the class of each, instead of the pixel value."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from geoseg.classes import ClassScheme
from geoseg.errors import ClassError

if TYPE_CHECKING:
    from geoseg.polygonize import Regions

PORTION = 16_384


@dataclass(frozen=True, eq=False)
class Rows:
    """A batch of regions.

    Attributes:
        geometries: (n,) Polygons and MultiPolygons in the raster's CRS.
        ids: (n,) int32 class ids.
        pixels: (n,) how many pixels each has.
        confidence: (n,) mean confidence; NaN where it is not known.
        touches_edge: (n,) whether it goes on where the raster ends.
    """

    geometries: NDArray[Any]
    ids: NDArray[np.int32]
    pixels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.geometries)

    def take(self, chosen: NDArray[Any] | slice) -> Rows:
        """Some of the regions: by position, by a mask, or a slice."""
        return Rows(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @staticmethod
    def joined(batches: list[Rows]) -> Rows:
        """Several batches as one."""
        columns = zip(*([getattr(b, f.name) for f in fields(b)] for b in batches), strict=True)
        return Rows(*(np.concatenate(each) for each in columns))


def rows_of(
    batches: Iterable[Regions], scheme: ClassScheme, by_value: bool, where: Path
) -> Iterator[Rows]:
    """Yield the regions as rows; where a value has no class, go on counting and then say so.

    Args:
        batches: the regions.
        scheme: the classes.
        by_value: whether the scheme's label codes are the pixel values, or its ids are.
        where: the class raster, for the error.

    Raises:
        ClassError: pixel values belong to no class; lists all of them with their counts.
    """
    unknown: Counter[int] = Counter()
    for regions in batches:
        values = regions.values
        strange = np.zeros(len(values), bool) if by_value else ~_is_id(values, scheme)
        for value in np.unique(values[strange]).tolist():
            unknown[value] += int(regions.pixels[values == value].sum())
        if unknown:
            continue
        ids = _ids_by_value(regions, scheme, where) if by_value else values
        yield Rows(
            regions.geometries,
            ids.astype(np.int32),
            regions.pixels,
            regions.confidence,
            regions.touches_edge,
        )
    if unknown:
        raise ClassError(
            f"{len(unknown)} pixel value(s) are no class of the scheme",
            where=where,
            got=", ".join(f"{value} ({count} px)" for value, count in sorted(unknown.items())),
            wanted=f"0 to {len(scheme.classes) - 1}: {', '.join(scheme.names)}",
            fix="give the class file the map was made with",
        )


def portions(batches: Iterable[Rows]) -> Iterator[Rows]:
    """Batches small enough that what is made of them takes little memory."""
    for rows in batches:
        for start in range(0, len(rows), PORTION):
            yield rows.take(slice(start, start + PORTION))


def _ids_by_value(regions: Regions, scheme: ClassScheme, where: Path) -> NDArray[np.uint8]:
    found = scheme.look_up(regions.values, regions.pixels)
    if found.unknown:
        raise ClassError(
            f"{len(found.unknown)} pixel value(s) belong to no class",
            where=where,
            got=found.list_unknown("px"),
            wanted=scheme.list_codes(),
            fix="give the class file the map was made with",
        )
    return found.ids


def _is_id(values: NDArray[Any], scheme: ClassScheme) -> NDArray[np.bool_]:
    return np.asarray((values >= 0) & (values < len(scheme.classes)))
