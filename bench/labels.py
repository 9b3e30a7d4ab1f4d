"""Rasterizing polygons of 8 classes onto 9216 x 10240 px, in windows of 512 px."""

from collections.abc import Callable, Iterator
from pathlib import Path

import geopandas
import numpy as np
import pyproj
import rasterio.features
import shapely
from odc.geo.geobox import GeoBox

from bench.clock import ratios
from bench.scene import AFFINE, CRS
from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.vector import Polygons, rasterize, read_polygons

SHAPE = (9216, 10240)
TILE = 512
COUNTS = (5_000, 20_000, 80_000)
GEOBOX = GeoBox(SHAPE, AFFINE, CRS)
TORCHGEO_COUNT = 20_000
TORCHGEO_TILES = 8
"""torchgeo reads the file for every window: it is timed on these, the others on all."""
SCHEME = ClassScheme.model_validate(
    {
        "column": "code",
        "classes": [{"name": f"c{i}", "color": "#000000", "values": (i,)} for i in range(8)],
    }
)


def run(folder: Path) -> Iterator[str]:
    """Rates of geoseg and its alternatives for each number of polygons."""
    whole = SHAPE[0] * SHAPE[1] / 1e6
    for count in COUNTS:
        yield f"{count} polygons"
        candidates = _candidates(folder / f"{count}.gpkg", count)
        megapixels = dict.fromkeys(candidates, whole)
        if count == TORCHGEO_COUNT:
            name = f"torchgeo: VectorDataset, {TORCHGEO_TILES} of the windows"
            candidates[name] = _torchgeo(folder / f"{count}.gpkg")
            megapixels[name] = TORCHGEO_TILES * TILE**2 / 1e6
        yield from ratios(candidates, megapixels=megapixels)


def make_polygons(count: int, geobox: GeoBox) -> tuple[np.ndarray, np.ndarray]:
    """Polygons with 12 corners and a radius of about 20 px, and their class ids."""
    west, south, east, north = grid.bounds(geobox)
    rng = np.random.default_rng(0)
    angles = np.linspace(0, 2 * np.pi, 13)[:-1]
    radius = rng.uniform(0.5, 1, (count, 12)) * rng.lognormal(5.3, 0.6, (count, 1))
    centres = rng.uniform((west, south), (east, north), (count, 2))
    points = centres[:, None] + np.stack([radius * np.cos(angles), radius * np.sin(angles)], -1)
    return shapely.polygons(points), rng.integers(0, 8, count).astype(np.uint8)


def write_polygons(path: Path, shapes: np.ndarray, ids: np.ndarray) -> None:
    """Write polygons of a grid in `CRS` as a GeoPackage in longitude and latitude."""
    frame = geopandas.GeoDataFrame({"code": ids.astype(int)}, geometry=list(shapes), crs=CRS)
    frame.to_crs("EPSG:4326").to_file(path)


def _candidates(path: Path, count: int) -> dict[str, Callable[[], object]]:
    shapes, ids = make_polygons(count, GEOBOX)
    write_polygons(path, shapes, ids)
    polygons = Polygons(shapes, ids, SCHEME, CRS)
    order = np.argsort(ids, kind="stable")
    pairs = list(zip(shapes[order], ids[order].tolist(), strict=True))
    tree = shapely.STRtree(shapes[order])
    return {
        "geoseg: window by window, indexed": lambda: _geoseg(polygons),
        "rasterio: the whole raster at once": lambda: _whole(pairs),
        "rasterio: window by window, spatial index": lambda: _windows(pairs, tree),
        "geoseg: reads the layer, then window by window": lambda: _geoseg(
            read_polygons(path, SCHEME, crs=CRS)
        ),
        "geopandas: reads the layer, whole raster, as geocube": lambda: _geocube(path),
    }


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


def _geocube(path: Path) -> None:
    frame = geopandas.read_file(path).to_crs(CRS)
    pairs = zip(frame.geometry, frame["code"].astype(float), strict=True)
    rasterio.features.rasterize(pairs, SHAPE, fill=np.nan, transform=GEOBOX.affine, dtype="float64")


def _torchgeo(path: Path) -> Callable[[], object]:
    from torchgeo.datasets import VectorDataset
    from torchgeo.samplers import GridGeoSampler

    res = AFFINE.a, -AFFINE.e
    dataset = VectorDataset([str(path)], crs=pyproj.CRS(CRS), res=res, label_name="code")
    every = list(GridGeoSampler(dataset, TILE, TILE))
    spaced = every[:: len(every) // TORCHGEO_TILES][:TORCHGEO_TILES]
    return lambda: [dataset[at] for at in spaced]
