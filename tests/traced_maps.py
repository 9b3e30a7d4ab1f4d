"""Random class maps, traced into polygons, and a check of their coverage."""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import numpy as np
import pytest
import shapely
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from geoseg.polygonize import (
    ArraySource,
    DouglasPeucker,
    Regions,
    Rules,
    Visvalingam,
    collect,
    threads,
    trace,
)

NORTH_UP = Affine(10.0, 0, 465180.0, 0, -10.0, 5080250.0)
ROTATED = Affine(8.0, 3.7, 465181.05223, 3.1, -9.3, 5080254.63349)
MAPS = [
    range(10),
    pytest.param(range(10, 50), marks=pytest.mark.slow),
    pytest.param(range(50, 200), marks=[pytest.mark.slow, pytest.mark.long]),
]
"""Seeds of random maps."""

OUT = 255
SHAPES = (
    Rules(simplify=Visvalingam(300)),
    Rules(simplify=DouglasPeucker(15)),
    Rules(smooth=2),
    Rules(min_area_m2=400, simplify=Visvalingam(1000), smooth=3),
    Rules(connectivity=8, min_area_m2=300, max_hole_m2=900, simplify=DouglasPeucker(25), smooth=1),
)


def source(array: Any, affine: Affine = NORTH_UP, crs: str = "EPSG:32633") -> ArraySource:
    values = np.asarray(array)
    values = values.astype(np.uint8) if values.dtype == np.int64 else values
    return ArraySource(values, GeoBox(values.shape, affine, crs))


def traced(array: Any, *, strip_rows: int | None = None, workers: int = 1, **rules: Any) -> Regions:
    return collect(
        trace(source(array), rules=Rules(**rules), spread=threads(workers), strip_rows=strip_rows)
    )


def random_map(seed: int, most: int = 40) -> NDArray[np.uint8]:
    """Noise, or patches with specks, of 2 to 12 classes and 255; never square on purpose."""
    rng = np.random.default_rng(seed)
    height, width = (int(side) for side in rng.integers(1, most, 2))
    classes = int(rng.integers(2, 13))
    values = rng.integers(0, classes, (height, width))
    if seed % 3:
        patches = rng.integers(0, classes, (height // 4 + 1, width // 4 + 1))
        specks = rng.random((height, width)) < 0.2
        large = patches.repeat(4, 0).repeat(4, 1)[:height, :width]
        values = np.where(specks, values, large)
    values[rng.random((height, width)) < 0.1 * (seed % 2)] = OUT
    return values.astype(np.uint8)


def digest(regions: Regions) -> str:
    wkb = sorted(shapely.to_wkb(shapely.normalize(regions.geometries)).tolist())
    return sha256(b"".join(wkb)).hexdigest()


def assert_coverage(regions: Regions) -> None:
    assert shapely.is_valid(regions.geometries).all()
    if len(regions.first):
        assert shapely.coverage_is_valid(regions.geometries)
        assert shapely.is_empty(shapely.coverage_invalid_edges(regions.geometries)).all()
