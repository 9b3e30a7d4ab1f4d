"""Map tiles of a class raster, against places worked out by pyproj, and brute force."""

from __future__ import annotations

import io
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from PIL import Image
from published import SCHEME, make_map
from pyproj import Transformer
from small_scene import MakeRaster

import geoseg
from geoseg.raster import FileSource
from geoseg.report.map_tiles import SIDE, TileFile, Tiling, write_tiles
from geoseg.report.mercator_frame import frame_of

HALF_M = 20_037_508.342789244
HEIGHT, WIDTH = 700, 1900
UTM = Affine(10, 0, 500_000, 0, -10, 5_000_000)
LAEA = "+proj=laea +lat_0=46 +lon_0=15 +x_0=500000 +y_0=5000000 +ellps=bessel +units=m"

type Ids = NDArray[np.uint8]
type Place = tuple[int, int, int]


def ids() -> Ids:
    """Blocks of 5 px of two classes, every seventh without one; a corner without any."""
    found = np.random.default_rng(0).choice(
        [0, 1, 255], (HEIGHT // 5, WIDTH // 5), p=[3 / 7, 3 / 7, 1 / 7]
    )
    found = found.astype(np.uint8).repeat(5, axis=0).repeat(5, axis=1)
    found[:100, :900] = 255
    return found


@pytest.fixture
def tiled(tmp_path: Path, make_raster: MakeRaster) -> Any:
    def write(crs: str, affine: Affine) -> tuple[Path, Tiling, TileFile]:
        path = tmp_path / "classes.tif"
        make_raster(path, ids(), crs=crs, transform=affine, nodata=255)
        source = FileSource(path)
        frame = frame_of(source.geobox, 256)
        assert frame is not None
        write_tiles(tmp_path / "x.pmtiles", source, SCHEME, frame)
        return path, Tiling(frame), TileFile(tmp_path / "x.pmtiles")

    return write


def of_tile(tiles: TileFile, place: Place) -> Ids:
    """Class ids of a tile by its palette: 0 and 1, and 255 for what is transparent."""
    png = tiles.tile(*place)
    if png is None:
        return np.full((SIDE, SIDE), 255, np.uint8)
    colours = np.asarray(Image.open(io.BytesIO(png)).convert("RGBA"))
    found = np.full((SIDE, SIDE), 255, np.uint8)
    for number, each in enumerate(SCHEME.classes):
        found[(colours == each.rgba).all(axis=2)] = number
    assert ((colours[..., 3] == 0) == (found == 255)).all()
    return found


def by_hand(path: Path, place: Place) -> Ids:
    """The class at the centre of each pixel of a tile, by pyproj."""
    zoom, column, row = place
    pixel = 2 * HALF_M / 2**zoom / SIDE
    xs = (column * SIDE + np.arange(SIDE) + 0.5) * pixel - HALF_M
    ys = HALF_M - (row * SIDE + np.arange(SIDE) + 0.5) * pixel
    with rasterio.open(path) as dataset:
        there = Transformer.from_crs("EPSG:3857", dataset.crs.to_wkt(), always_xy=True)
        cols, rows = ~dataset.transform @ there.transform(*np.meshgrid(xs, ys))
        values = dataset.read(1)
    cols, rows = np.floor(cols).astype(int), np.floor(rows).astype(int)
    inside = (cols >= 0) & (cols < WIDTH) & (rows >= 0) & (rows < HEIGHT)
    found = values[rows.clip(0, HEIGHT - 1), cols.clip(0, WIDTH - 1)]
    return np.where(inside, found, 255).astype(np.uint8)


def commonest(four: Ids) -> int:
    """Of four, the commonest; of equals the smallest, so that a class comes before nothing."""
    counts = Counter(four.ravel().tolist())
    return min(counts, key=lambda value: (-counts[value], value))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("crs", "affine"), [("EPSG:32633", UTM), (LAEA, UTM @ Affine.rotation(20))]
)
def test_the_last_zoom_has_every_pixel_at_its_place(tiled: Any, crs: str, affine: Affine) -> None:
    path, tiling, tiles = tiled(crs, affine)
    last = tiling.zooms[1]
    columns, rows = tiling.at(last)
    pixel_m = 2 * HALF_M / 2**last / SIDE * np.cos(np.radians(45.15))
    assert 5 < pixel_m <= 10.1
    differ = seen = 0
    for row in rows:
        for column in columns:
            wanted, found = by_hand(path, (last, column, row)), of_tile(tiles, (last, column, row))
            differ += int((wanted != found).sum())
            seen += int((wanted != 255).sum())
    assert seen > HEIGHT * WIDTH
    assert differ <= 2e-4 * seen  # where a centre falls on an edge


def test_a_coarser_tile_has_the_commonest_of_four(tiled: Any) -> None:
    _, tiling, tiles = tiled("EPSG:32633", UTM)
    first, last = tiling.zooms
    assert (first, last) == (tiles.zooms[0], tiles.zooms[1]) and last - first >= 2
    columns, rows = tiling.at(last - 1)
    column, row = columns[-1], rows[-1]
    four = [[(last, 2 * column + x, 2 * row + y) for x in (0, 1)] for y in (0, 1)]
    fine = np.block([[of_tile(tiles, place) for place in pair] for pair in four])
    coarse = of_tile(tiles, (last - 1, column, row))
    for y, x in np.random.default_rng(1).integers(0, SIDE, (500, 2)):
        assert coarse[y, x] == commonest(fine[2 * y : 2 * y + 2, 2 * x : 2 * x + 2])
    assert (coarse != 255).any()


def test_a_map_across_the_antimeridian_has_tiles_on_both_sides(tiled: Any) -> None:
    _, tiling, tiles = tiled("EPSG:32760", Affine(10, 0, 811_500, 0, -10, 8_229_000))
    last = tiling.zooms[1]
    columns, rows = tiling.at(last)
    assert columns[0] < 2**last <= columns[-1]
    assert tiles.tile(last, 2**last - 1, rows[-1]) and tiles.tile(last, 0, rows[-1])


def test_places_off_the_world_have_no_tile(tiled: Any) -> None:
    *_, tiles = tiled("EPSG:32633", UTM)
    for place in ((0, 1, 0), (3, 0, 8), (25, 0, 0), (9, 511, 511)):
        assert tiles.tile(*place) is None


@pytest.fixture
def large(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A map that is larger than its picture: at most 64 px, where the map is 128 px wide."""
    for module in ("page", "pictures", "finished_map"):
        monkeypatch.setattr(f"geoseg.report.{module}.MOST_PX", 64)
    return make_map(tmp_path / "area")


TILED = geoseg.PublishOptions(tiles=True)


def test_publish_writes_tiles_of_a_large_map_alone(large: Path) -> None:
    assert not any(path.suffix == ".pmtiles" for path in geoseg.publish(large))
    made = geoseg.publish(large, options=TILED)
    assert [path.name for path in made[:4]] == [
        "map.qgz",
        "map.qlr",
        "report.html",
        "classes.pmtiles",
    ]
    before = (large / "classes.pmtiles").read_bytes()
    assert before[:8] == b"PMTiles\x03"
    page = (large / "report.html").read_text("utf-8")
    assert "geoseg publish --tiles" in page and "connect-src &#39;none&#39;" in page
    geoseg.publish(large, options=TILED)
    assert (large / "classes.pmtiles").read_bytes() == before
