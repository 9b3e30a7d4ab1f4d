"""Rasterizing 20 000 polygons of 8 classes onto 4096 x 5120 px, in windows of 512 px."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio.features
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox

from bench.clock import ratios
from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.vector import Polygons, rasterize

SHAPE = (4096, 5120)
TILE = 512
COUNT = 20_000
GEOBOX = GeoBox(SHAPE, Affine(10, 0, 5e5, 0, -10, 5e6), "EPSG:32633")


def run(_folder: Path) -> Iterator[str]:
    """Windows through geoseg, one whole-raster burn, and windows through rasterio."""
    shapes, ids = _shapes()
    classes = [{"name": f"c{i}", "color": "#000000", "values": (i,)} for i in range(8)]
    scheme = ClassScheme.model_validate({"classes": classes})
    polygons = Polygons(shapes, ids, scheme, "EPSG:32633")
    order = np.argsort(ids, kind="stable")
    pairs = list(zip(shapes[order], ids[order].tolist(), strict=True))
    tree = shapely.STRtree(shapes[order])
    candidates = {
        "geoseg: window by window, indexed": lambda: _geoseg(polygons),
        "rasterio: the whole raster at once": lambda: _whole(pairs),
        "rasterio: window by window, spatial index": lambda: _windows(pairs, tree),
    }
    yield from ratios(candidates, megapixels=SHAPE[0] * SHAPE[1] / 1e6)


def _shapes() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 13)[:-1]
    radius = rng.uniform(0.5, 1, (COUNT, 12)) * rng.lognormal(4.6, 0.6, (COUNT, 1))
    centres = rng.uniform((5e5, 5e6 - SHAPE[0] * 10), (5e5 + SHAPE[1] * 10, 5e6), (COUNT, 2))
    points = centres[:, None] + np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1)
    return shapely.polygons(points), rng.integers(0, 8, COUNT).astype(np.uint8)


def _geoseg(polygons: Polygons) -> None:
    for window in grid.split(grid.whole(SHAPE), TILE):
        rasterize(polygons, grid.crop(GEOBOX, window))


def _whole(pairs: list[tuple[shapely.Geometry, int]]) -> None:
    rasterio.features.rasterize(pairs, SHAPE, fill=255, transform=GEOBOX.affine, dtype="uint8")


def _windows(pairs: list[tuple[shapely.Geometry, int]], tree: shapely.STRtree) -> None:
    for window in grid.split(grid.whole(SHAPE), TILE):
        geobox = grid.crop(GEOBOX, window)
        near = np.sort(tree.query(shapely.box(*grid.bounds(geobox))))
        if len(near):
            rasterio.features.rasterize(
                [pairs[i] for i in near], window.shape, fill=255, transform=geobox.affine,
                dtype="uint8",
            )  # fmt: skip
