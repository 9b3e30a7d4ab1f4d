"""Class rasters to polygons: three textures, 2048 to 16384 px; compiled beforehand."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import rasterio
import rasterio.features
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from rasterio.windows import Window
from scipy.ndimage import gaussian_filter

from bench.child import Outcome, call
from bench.clock import medians
from bench.scene import AFFINE, CRS
from geoseg.raster import FileSource
from geoseg.trace import ArraySource, Rules, Visvalingam, collect, threads, trace

PERIOD = 2048
"""Textures repeat after so many pixels."""

SIDES = (2048, 4096, 8192, 16384)
PEERS_TO = 8192
"""GDAL's geometries of larger rasters do not fit into memory beside ours."""

SHAPED_SIDE = 2048
AREA_M2 = 300.0
TEXTURES = {"large regions": 48.0, "blobs": 3.5, "salt and pepper": 0.0}
"""By how many pixels noise is smoothed before it is cut into four classes."""


def run(folder: Path) -> Iterator[str]:
    """Time by texture and size, shapes and validity, memory."""
    for texture in TEXTURES:
        for side in SIDES:
            if side <= (PEERS_TO if texture != "salt and pepper" else SIDES[0]):
                yield from _times(texture, side)
    yield from _shapes()
    for side in (*SIDES, 32768):
        path = write_classes(folder / f"{side}.tif", "blobs", side)
        done = call(trace_file, path=str(path))
        yield f"blobs, {side:5} px from a GeoTIFF: {_line(done)}"
        path.unlink()


def classes(texture: str, side: int) -> NDArray[np.uint8]:
    """A square raster of four classes."""
    noise = np.random.default_rng(0).standard_normal((PERIOD, PERIOD), dtype=np.float32)
    sigma = TEXTURES[texture]
    smooth = gaussian_filter(noise, sigma, mode="wrap") if sigma else noise
    period = np.searchsorted(np.quantile(smooth, (0.25, 0.5, 0.75)), smooth).astype(np.uint8)
    return np.tile(period, (side // PERIOD, side // PERIOD))


def write_classes(path: Path, texture: str, side: int) -> Path:
    """Write such a raster as a tiled GeoTIFF."""
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
    """Trace a file batch by batch; how many regions and corners it has, and their area."""
    regions = corners = 0
    area = 0.0
    for batch in trace(FileSource(Path(path))):
        regions += len(batch.first)
        corners += int(shapely.get_num_coordinates(batch.geometries).sum())
        area += float(shapely.area(batch.geometries).sum())
    return {"regions": regions, "corners": corners, "area": area}


def _line(done: Outcome) -> str:
    regions = f"{done.value['regions']} regions, {done.value['corners'] / 1e6:.1f} M corners"
    return f"{regions}, {done.seconds:.1f} s with interpreter, {done.peak_mb:.0f} MB"


def _times(texture: str, side: int) -> Iterator[str]:
    values = classes(texture, side)
    source = ArraySource(values, GeoBox(values.shape, AFFINE, CRS))
    warm = ArraySource(values[:256, :256], GeoBox((256, 256), AFFINE, CRS))
    for workers in (1, 2):
        collect(trace(warm, spread=threads(workers), strip_rows=64))
    seconds = medians(
        {
            "geoseg, 1 thread": lambda: list(trace(source, spread=threads(1))),
            "geoseg, 2 threads": lambda: list(trace(source, spread=threads(2))),
            "rasterio.features.shapes": lambda: sum(1 for _ in _shapes_of(values)),
            "rasterio.features.shapes, shapely": lambda: _gdal(values),
        },
        rounds=3 if texture == "blobs" and side < PEERS_TO else 1,
    )
    count = sum(len(batch.first) for batch in trace(source))
    yield f"{texture}, {side} px, {count} regions"
    for name, each in seconds.items():
        ours, two = seconds["geoseg, 1 thread"], seconds["geoseg, 2 threads"]
        yield f"  {name:40} {each:8.2f} s   {each / ours:6.2f} x, {each / two:6.2f} x of 2 threads"


def _shapes_of(values: NDArray[np.uint8]) -> Iterator[tuple[dict[str, object], float]]:
    yield from rasterio.features.shapes(values, transform=AFFINE)


def _gdal(values: NDArray[np.uint8]) -> NDArray[np.object_]:
    return np.array([shapely.geometry.shape(outline) for outline, _ in _shapes_of(values)])


def _shapes() -> Iterator[str]:
    """Simplified polygons: of shared arcs, of a coverage, and polygon by polygon."""
    values = classes("blobs", SHAPED_SIDE)
    source = ArraySource(values, GeoBox(values.shape, AFFINE, CRS))
    rules = Rules(simplify=Visvalingam(AREA_M2))
    warm = ArraySource(values[:256, :256], GeoBox((256, 256), AFFINE, CRS))
    collect(trace(warm, rules=rules))
    found: dict[str, NDArray[np.object_]] = {}

    def keep(name: str, geometries: NDArray[np.object_]) -> None:
        found[name] = geometries

    seconds = medians(
        {
            "geoseg: arcs": lambda: keep("arcs", collect(trace(source, rules=rules)).geometries),
            "rasterio, coverage_simplify": lambda: keep(
                "coverage", shapely.coverage_simplify(_gdal(values), AREA_M2**0.5)
            ),
            "rasterio, simplify": lambda: keep(
                "each", shapely.simplify(_gdal(values), AREA_M2**0.5)
            ),
        },
        rounds=1,
    )
    yield f"blobs, {SHAPED_SIDE} px, simplified by {AREA_M2:.0f} m2"
    for (name, each), geometries in zip(seconds.items(), found.values(), strict=True):
        points = int(shapely.get_num_coordinates(geometries).sum())
        valid = bool(shapely.is_valid(geometries).all())
        coverage = shapely.coverage_is_valid(geometries)
        yield (
            f"  {name:40} {each:8.2f} s   {points / 1e6:.2f} M points, "
            f"polygons valid: {valid}, coverage valid: {coverage}"
        )
