"""Class rasters of four classes to polygons: time, memory, and whether neighbours share edges.

Three textures from 2048 to 16384 px; each method runs in a separate process, compiled beforehand.
GDAL's polygonize is called through rasterio, as no other part of GDAL is installed; alone, it makes
GeoJSON that is discarded. Seconds exclude the interpreter, megabytes include it.

To keep a run within a quarter of an hour, blobs of 16384 px and salt and pepper of 4096 px are
measured only for GDAL alone and geoseg batch by batch, which keep no results, and larger salt and
pepper (8.8 million regions and more) for neither.
"""

import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from bench.child import Outcome, call, peak_mb
from bench.scene import AFFINE, CRS
from geoseg.polygonize import ArraySource, Rules, Visvalingam, collect, threads, trace
from geoseg.raster import FileSource

PERIOD = 2048
"""Textures repeat after so many pixels."""

SIDES = (2048, 4096, 8192, 16384)
FILE_SIDES = (16384, 32768)
AREA_M2 = 300.0
TEXTURES = {"large regions": 48.0, "blobs": 3.5, "salt and pepper": 0.0}
"""By how many pixels noise is smoothed before it is cut into four classes."""

KEPT_TO = {"large regions": 16384, "blobs": 8192, "salt and pepper": 2048}
"""Up to which side all polygons are kept in memory, and every way is tried."""

CHECKED_SIDE = 1024
"""Validity is looked at in this corner of the smallest rasters: GEOS compares each region with all
that its bounds meet, which takes half a minute for blobs of 2048 px."""

STREAMED_TO = {"large regions": 16384, "blobs": 16384, "salt and pepper": 4096}

type Geometries = NDArray[np.object_]


def run(folder: Path) -> Iterator[str]:
    """A table per texture and size; then tracing from a file without output."""
    for texture in TEXTURES:
        for side in SIDES:
            if side <= STREAMED_TO[texture]:
                yield f"{texture}, {side} px"
                yield from _table(texture, side)
    for side in FILE_SIDES:
        path = write_classes(folder / f"{side}.tif", "blobs", side)
        done = call(trace_file, path=str(path))
        yield f"blobs, {side} px from a GeoTIFF: {_line(done)}"
        path.unlink()


def classes(texture: str, side: int) -> NDArray[np.uint8]:
    """A square raster of four classes."""
    noise = np.random.default_rng(0).standard_normal((PERIOD, PERIOD), dtype=np.float32)
    sigma = TEXTURES[texture]
    smooth = gaussian_filter(noise, sigma, mode="wrap") if sigma else noise
    period = np.searchsorted(np.quantile(smooth, (0.25, 0.5, 0.75)), smooth).astype(np.uint8)
    return np.tile(period, (side // PERIOD, side // PERIOD))


def write_classes(path: Path, texture: str, side: int) -> Path:
    """Write a class raster as a tiled GeoTIFF."""
    period = classes(texture, PERIOD)
    with rasterio.open(
        path, "w", driver="GTiff", count=1, height=side, width=side, dtype="uint8", crs=CRS,
        transform=AFFINE, nodata=255, tiled=True, blockxsize=512, blockysize=512,
        compress="deflate",
    ) as dataset:  # fmt: skip
        for row in range(0, side, PERIOD):
            for col in range(0, side, PERIOD):
                dataset.write(period, 1, window=Window(col, row, PERIOD, PERIOD))
    return path


def trace_file(path: str) -> dict[str, float]:
    """Trace a file batch by batch; returns the number of regions and corners, and the area."""
    regions = corners = 0
    area = 0.0
    for batch in trace(FileSource(Path(path))):
        regions += len(batch.first)
        corners += int(shapely.get_num_coordinates(batch.geometries).sum())
        area += float(shapely.area(batch.geometries).sum())
    return {"regions": regions, "corners": corners, "area": area}


def measure(texture: str, side: int, way: str) -> list[list[Any]]:
    """Run one method; returns name, seconds, memory, regions and validity of each result.

    A method that post-processes its own polygons has two results, the second with the time of both.
    """
    values = classes(texture, side)
    for _ in WAYS[way](values[:256, :256]):  # compile, or load from the cache
        pass
    rows: list[list[Any]] = []
    start = time.perf_counter()
    for name, count, _ in WAYS[way](values):
        rows.append([name, time.perf_counter() - start, peak_mb(), count, None])
    if side == SIDES[0]:
        checked = WAYS[way](values[:CHECKED_SIDE, :CHECKED_SIDE])
        for row, (*_, geometries) in zip(rows, checked, strict=True):
            row[-1] = None if geometries is None else bool(shapely.coverage_is_valid(geometries))
    return rows


type Result = tuple[str, int, Geometries | None]


def _kept(values: NDArray[np.uint8], workers: int, rules: Rules = Rules()) -> Iterator[Result]:
    said = ", simplified" if rules.simplify else ""
    geometries = collect(trace(_source(values), rules=rules, spread=threads(workers))).geometries
    yield f"geoseg, {workers} thread(s){said}", len(geometries), geometries


def _batches(values: NDArray[np.uint8], workers: int) -> Iterator[Result]:
    batches = trace(_source(values), spread=threads(workers))
    count = sum(len(batch.first) for batch in batches)
    yield f"geoseg batch by batch, {workers} thread(s)", count, None


def _gdal(values: NDArray[np.uint8]) -> Iterator[Result]:
    yield "GDAL alone", sum(1 for _ in _shapes(values)), None


def _frame(values: NDArray[np.uint8]) -> Iterator[Result]:
    import geopandas

    found = [(shapely.geometry.shape(outline), value) for outline, value in _shapes(values)]
    geometries, codes = zip(*found, strict=True)
    frame = geopandas.GeoDataFrame({"class": codes}, geometry=list(geometries), crs=CRS)
    yield "rasterio, GeoDataFrame", len(frame), np.asarray(frame.geometry.values)
    each = np.asarray(frame.geometry.simplify(AREA_M2**0.5).values)
    yield "rasterio, GeoDataFrame, simplified each", len(each), each


def _coverage(values: NDArray[np.uint8]) -> Iterator[Result]:
    outlines = np.array([shapely.geometry.shape(outline) for outline, _ in _shapes(values)])
    geometries = shapely.coverage_simplify(outlines, AREA_M2**0.5)
    yield "rasterio, coverage_simplify", len(geometries), geometries


WAYS: dict[str, Callable[[NDArray[np.uint8]], Iterator[Result]]] = {
    "one": partial(_kept, workers=1),
    "two": partial(_kept, workers=2),
    "arcs": partial(_kept, workers=2, rules=Rules(simplify=Visvalingam(AREA_M2))),
    "frame": _frame,
    "coverage": _coverage,
    "one, batches": partial(_batches, workers=1),
    "two, batches": partial(_batches, workers=2),
    "gdal": _gdal,
}
KEPT = ("one", "two", "arcs", "frame", "gdal")
STREAMED = ("one, batches", "two, batches", "gdal")


def _table(texture: str, side: int) -> Iterator[str]:
    ways = KEPT if side <= KEPT_TO[texture] else STREAMED
    ways += ("coverage",) if side == SIDES[0] and texture == "blobs" else ()
    ours = 0.0
    for way in ways:
        for name, seconds, memory, count, valid in call(
            measure, texture=texture, side=side, way=way
        ).value:
            ours = ours or seconds
            said = "" if valid is None else f"   coverage {'valid' if valid else 'not valid'}"
            yield (
                f"  {name:40} {seconds:8.2f} s {seconds / ours:7.2f} x {memory:7.0f} MB "
                f"{count:9} regions{said}"
            )


def _line(done: Outcome) -> str:
    regions = f"{done.value['regions']} regions, {done.value['corners'] / 1e6:.1f} M corners"
    return f"{regions}, {done.seconds:.1f} s with interpreter, {done.peak_mb:.0f} MB"


def _source(values: NDArray[np.uint8]) -> ArraySource:
    return ArraySource(values, GeoBox(values.shape, AFFINE, CRS))


def _shapes(values: NDArray[np.uint8]) -> Iterator[tuple[dict[str, object], float]]:
    yield from rasterio.features.shapes(values, transform=AFFINE)
