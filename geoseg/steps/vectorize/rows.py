"""Regions with class ids instead of pixel values: the rows of the layer."""

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
"""Rows per batch of output: some tens of MB of geometries and columns."""


@dataclass(frozen=True, eq=False)
class RegionRows:
    """A batch of regions, one row each.

    Attributes:
        geometries: (n,) Polygons and MultiPolygons in the raster's CRS.
        ids: (n,) int32 class ids.
        pixels: (n,) number of pixels.
        confidence: (n,) mean confidence in percent; NaN where unknown.
        touches_edge: (n,) whether the region has a pixel on the raster's outer edge.
    """

    geometries: NDArray[Any]
    ids: NDArray[np.int32]
    pixels: NDArray[np.int64]
    confidence: NDArray[np.float64]
    touches_edge: NDArray[np.bool_]

    def __len__(self) -> int:
        return len(self.geometries)

    def take(self, chosen: NDArray[Any] | slice) -> RegionRows:
        """The rows at some positions, of a mask, or of a slice."""
        return RegionRows(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @staticmethod
    def joined(batches: list[RegionRows]) -> RegionRows:
        """Concatenate batches."""
        columns = zip(*([getattr(b, f.name) for f in fields(b)] for b in batches), strict=True)
        return RegionRows(*(np.concatenate(each) for each in columns))


def rows_of(
    batches: Iterable[Regions], scheme: ClassScheme, by_value: bool, where: Path
) -> Iterator[RegionRows]:
    """Yield the regions as rows.

    Once a value without a class is met, nothing more is yielded, but all such values are counted,
    so that one error lists them all.

    Args:
        batches: the regions.
        scheme: the classes.
        by_value: whether pixel values are the scheme's label codes; else they are its ids.
        where: path of the class raster, for the error.

    Raises:
        ClassError: some pixel values have no class; lists them with their counts.
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
        yield RegionRows(
            regions.geometries,
            ids.astype(np.int32),
            regions.pixels,
            regions.confidence,
            regions.touches_edge,
        )
    if unknown:
        raise ClassError(
            f"{len(unknown)} pixel value(s) have no class in the scheme",
            where=where,
            got=", ".join(f"{value} ({count} px)" for value, count in sorted(unknown.items())),
            wanted=f"0 to {len(scheme.classes) - 1}: {', '.join(scheme.names)}",
            fix="pass the class file the map was made with",
        )


def portions(batches: Iterable[RegionRows]) -> Iterator[RegionRows]:
    """Cut batches so that the columns computed from each take little memory."""
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
