"""Maps on both sides of a UTM zone border to one: the landscape is known at every point."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
import rasterio
from affine import Affine
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from rasterio.enums import Resampling
from rasterio.warp import reproject

from geoseg import grid
from geoseg.errors import GridError, RasterError
from geoseg.files import sha256
from geoseg.mosaic import mosaic_grid
from geoseg.mosaic.mosaic_parts import LAYERS, fill_part, mosaic_tasks

type Array = NDArray[np.uint8]

# At 50 N the meridian of 12 E lies at x = 715,049 m in zone 32 and at 284,951 m in zone 33.
WEST = GeoBox((500, 620), Affine(10, 0, 709_504, 0, -10, 5_543_007), "EPSG:32632")
EAST = GeoBox((530, 600), Affine(10, 0, 284_203, 0, -10, 5_543_009), "EPSG:32633")
WIDE, HIGH = 1730.0, 1310.0
"""Metres between class borders, which are straight lines in EPSG:3035."""

BOTH = GeoBox((600, 1300), Affine(10, 0, 708_500, 0, -10, 5_543_500), "EPSG:32632")
"""Around both scenes, of which only the western one reaches the first 512 columns."""


def places(geobox: GeoBox, epsg: int = 3035) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """x and y of the pixel centres of a grid in another CRS."""
    cols, rows = np.meshgrid(np.arange(geobox.shape[1]) + 0.5, np.arange(geobox.shape[0]) + 0.5)
    a, b, c, d, e, f = geobox.affine[:6]
    to_other = Transformer.from_crs(geobox.crs.epsg, epsg, always_xy=True)
    x, y = to_other.transform(a * cols + b * rows + c, d * cols + e * rows + f)
    return x, y


def landscape(geobox: GeoBox) -> Array:
    """Classes 0, 1 and 2 in fields of 1730 m x 1310 m."""
    x, y = places(geobox)
    return ((x // WIDE + 2 * (y // HIGH)) % 3).astype(np.uint8)


def far_from_borders(geobox: GeoBox, metres: float) -> NDArray[np.bool_]:
    """Where every class border is further away than this."""
    x, y = places(geobox)
    return (np.abs((x + metres) % WIDE - metres) > metres) & (
        np.abs((y + metres) % HIGH - metres) > metres
    )


def inside(geobox: GeoBox, scene: GeoBox, margin: float) -> NDArray[np.bool_]:
    """Which pixel centres lie in a scene, by so many pixels; outside it for a negative margin."""
    x, y = places(geobox, scene.crs.epsg)
    a, b, c, d, e, f = (~scene.affine)[:6]
    cols, rows = a * x + b * y + c, d * x + e * y + f
    height, width = scene.shape
    return (cols > margin) & (cols < width - margin) & (rows > margin) & (rows < height - margin)


def write_map(
    folder: Path, geobox: GeoBox, classes: Array, confidence: Array, *more: Array
) -> Path:
    folder.mkdir()
    layers = {"classes": [classes], "confidence": [confidence], "probabilities": more}
    for name, bands in layers.items():
        if not bands:
            continue
        with rasterio.open(
            folder / f"{name}.tif", "w", driver="GTiff", count=len(bands), dtype="uint8",
            height=geobox.shape[0], width=geobox.shape[1], crs=geobox.crs.to_wkt(), nodata=255,
            transform=geobox.affine, tiled=True, blockxsize=256, blockysize=256,
            photometric="MINISBLACK", alpha="NO",
        ) as dataset:  # fmt: skip
            dataset.write(np.stack(bands))
    return folder


def constant(geobox: GeoBox, value: int) -> Array:
    return np.full(tuple(geobox.shape), value, np.uint8)


def fill(
    maps: list[Path],
    geobox: GeoBox,
    folder: Path,
    region: int = 512,
    layers: tuple[str, ...] = LAYERS,
) -> Array:
    """The whole mosaic, put together from its parts."""
    whole = np.zeros((len(layers), *geobox.shape), np.uint8)
    for task in mosaic_tasks(maps, geobox, region, folder, layers):
        digest, facts = fill_part(task)
        assert digest == sha256(folder / task.name)
        with rasterio.open(folder / task.name) as part:
            values = part.read()
            assert part.nodata == 255
            assert grid.misfit(
                grid.crop(geobox, task.area), GeoBox(part.shape, part.transform, part.crs.to_wkt())
            ) is None  # fmt: skip
        assert sum(facts["pixels"].values()) == task.area.height * task.area.width
        assert facts["pixels"].get(255, 0) == (values[0] == 255).sum()
        whole[(..., *task.area.slices)] = values
    return whole


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The landscape seen from both zones; the eastern map is surer of itself."""
    folder = tmp_path_factory.mktemp("maps")
    return [
        write_map(folder / name, box, landscape(box), constant(box, sure))
        for name, box, sure in (("west", WEST, 60), ("east", EAST, 80))
    ]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["EPSG:3035@16", "EPSG:32632", "EPSG:3035"])
def test_the_mosaic_is_the_landscape(maps: list[Path], tmp_path: Path, text: str) -> None:
    geobox = mosaic_grid(text, [WEST, EAST])
    classes, confidence = fill(maps, geobox, tmp_path)
    mapped = inside(geobox, WEST, 1) | inside(geobox, EAST, 1)
    empty = ~inside(geobox, WEST, -1) & ~inside(geobox, EAST, -1)
    sure = mapped & far_from_borders(geobox, 1.5 * geobox.resolution.x)
    assert sure.mean() > 0.5
    assert empty.mean() > 0.01
    np.testing.assert_array_equal(classes[sure], landscape(geobox)[sure])
    assert (classes[mapped] != 255).all() and (confidence[mapped] != 255).all()
    assert (classes[empty] == 255).all() and (confidence[empty] == 255).all()


def test_where_maps_overlap_the_surer_one_is_taken(maps: list[Path], tmp_path: Path) -> None:
    geobox = mosaic_grid("EPSG:3035@20", [WEST, EAST])
    for order in (maps, maps[::-1]):
        _, confidence = fill(order, geobox, tmp_path)
        east, west = inside(geobox, EAST, 1), inside(geobox, WEST, 1)
        assert (east & west).sum() > 5_000
        assert (confidence[east] == 80).all()
        assert (confidence[west & ~inside(geobox, EAST, -1)] == 60).all()


def test_surer_is_decided_pixel_by_pixel_and_the_first_of_equals_wins(tmp_path: Path) -> None:
    """Two maps of one grid: 3 columns surer in the first, 3 alike, 3 surer in the second."""
    box = GeoBox((7, 9), Affine(10, 0, 709_500, 0, -10, 5_543_000), "EPSG:32632")
    one, other = constant(box, 50), constant(box, 50)
    one[:, :3], other[:, 6:] = 51, 51
    first, second = constant(box, 0), constant(box, 1)
    first[3, :], second[3, 0] = 255, 255
    one[3, :], other[3, 0] = 255, 255
    folders = [
        write_map(tmp_path / "one", box, first, one),
        write_map(tmp_path / "other", box, second, other),
    ]
    classes, confidence = fill(folders, box, tmp_path)
    wanted = np.array([[0] * 6 + [1] * 3] * 7)
    wanted[3] = [255] + [1] * 8
    np.testing.assert_array_equal(classes, wanted)
    assert confidence[0].tolist() == [51] * 3 + [50] * 3 + [51] * 3
    assert confidence[3].tolist() == [255] + [50] * 5 + [51] * 3


def test_all_layers_come_from_the_same_pixel_of_the_same_map(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    folders = []
    for name, box in (("west", WEST), ("east", EAST)):
        share = rng.integers(0, 101, (4, *box.shape), dtype=np.uint8)
        bands = share.argmax(axis=0).astype(np.uint8), share.max(axis=0)
        folders.append(write_map(tmp_path / name, box, *bands, *share))
    geobox = mosaic_grid("EPSG:3035@20", [WEST, EAST])
    layers = (*LAYERS, *["probabilities.tif"] * 4)
    classes, confidence, *share = fill(folders, geobox, tmp_path, layers=layers)
    mapped = classes != 255
    assert mapped.mean() > 0.5
    np.testing.assert_array_equal(np.argmax(share, axis=0)[mapped], classes[mapped])
    np.testing.assert_array_equal(np.max(share, axis=0)[mapped], confidence[mapped])
    assert (np.array(share)[:, ~mapped] == 255).all()


@pytest.mark.parametrize(
    "text", [pytest.param("EPSG:3035@7", marks=pytest.mark.slow), "EPSG:32632@14"]
)
def test_regions_do_not_change_a_pixel(maps: list[Path], tmp_path: Path, text: str) -> None:
    geobox = mosaic_grid(text, [WEST, EAST])
    small, whole = (fill(maps, geobox, tmp_path / str(r), r) for r in (512, 4096))
    assert len(list((tmp_path / "512").iterdir())) >= 2
    assert len(list((tmp_path / "4096").iterdir())) == 1
    np.testing.assert_array_equal(small, whole)


def test_regions_do_not_change_a_pixel_whose_centre_lies_between_four(tmp_path: Path) -> None:
    """0.3 m to 0.6 m on the same corner: what GDAL takes depends on the window it looks at."""
    box = GeoBox((2100, 2400), Affine(0.3, 0, 790_000.1, 0, -0.3, 5_500_000.2), "EPSG:32632")
    classes = np.random.default_rng(0).integers(0, 200, tuple(box.shape), dtype=np.uint8)
    folder = write_map(tmp_path / "map", box, classes, constant(box, 70))
    geobox = GeoBox((1050, 1200), box.affine @ Affine.scale(2), "EPSG:32632")
    small, whole = (fill([folder], geobox, tmp_path / str(r), r) for r in (512, 2048))
    np.testing.assert_array_equal(small, whole)
    rows, cols = np.indices((1050, 1200)) * 2
    four = [classes[rows + i, cols + j] for i in (0, 1) for j in (0, 1)]
    assert np.logical_or.reduce([small[0] == each for each in four]).all()


def test_one_scene_is_what_gdal_makes_of_the_whole_raster(maps: list[Path], tmp_path: Path) -> None:
    """Exact transform: the same pixels. GDAL's usual eighth of a pixel of slack: a few others."""
    geobox = mosaic_grid("EPSG:3035@10", [WEST])
    classes, _ = fill(maps[:1], geobox, tmp_path)
    for tolerance, share in ((0.0, 0.0), (0.125, 0.005)):
        wanted = constant(geobox, 255)
        reproject(
            landscape(WEST), wanted, src_transform=WEST.affine, src_crs="EPSG:32632",
            dst_transform=geobox.affine, dst_crs="EPSG:3035", src_nodata=255, dst_nodata=255,
            resampling=Resampling.nearest, tolerance=tolerance,
        )  # fmt: skip
        assert (classes != wanted).mean() <= share


class TestPlan:
    def test_a_region_names_only_the_maps_that_reach_it(self, maps: list[Path]) -> None:
        tasks = mosaic_tasks(maps, BOTH, 512, Path("work"))
        assert [task.name for task in tasks[:2]] == ["0-0-512x512.tif", "0-512-512x512.tif"]
        owners = np.zeros((600, 1300), int)
        for task in tasks:
            owners[task.area.slices] += 1
            here = grid.crop(BOTH, task.area)
            for path, scene in zip(maps, (WEST, EAST), strict=True):
                assert path in task.maps or not inside(here, scene, 0).any()
        assert (owners == 1).all()
        assert tasks[0].maps == (maps[0],)
        assert tasks[-1].maps == (maps[1],)

    def test_maps_of_no_concern_to_a_region_are_not_opened(
        self, maps: list[Path], tmp_path: Path
    ) -> None:
        gone = write_map(tmp_path / "gone", EAST, landscape(EAST), constant(EAST, 9))
        task, *_ = mosaic_tasks([maps[0], gone], BOTH, 512, tmp_path)
        for path in gone.iterdir():
            path.unlink()
        _, facts = fill_part(task)
        assert facts["mapped"] == 1

    def test_a_region_no_map_reaches_is_empty(self, maps: list[Path], tmp_path: Path) -> None:
        far = GeoBox((600, 700), Affine(10, 0, 4e6, 0, -10, 2e6), "EPSG:3035")
        values = fill(maps, far, tmp_path, region=1024)
        assert (values == 255).all()
        (task,) = mosaic_tasks(maps, far, 1024, tmp_path)
        assert task.maps == ()
        _, facts = fill_part(task)
        assert (facts["mapped"], facts["skipped"], facts["pixels"]) == (0, 4, {255: 420_000})

    def test_the_log_says_what_is_warped(
        self, maps: list[Path], caplog: pytest.LogCaptureFixture
    ) -> None:
        with caplog.at_level(logging.INFO):
            mosaic_tasks(maps, mosaic_grid("EPSG:3035", [WEST, EAST]), 512, Path("work"))
        assert "west is warped with nearest: WGS 84 / UTM zone 32N to ETRS89" in caplog.text

    def test_a_region_is_named_by_its_rows_and_columns(self, maps: list[Path]) -> None:
        last = mosaic_tasks(maps, BOTH, 512, Path("work"))[-1]
        assert str(last) == "mosaic, rows 512-600, columns 1024-1300"

    def test_a_region_is_made_of_whole_blocks(self, maps: list[Path]) -> None:
        with pytest.raises(GridError, match="whole blocks; got 700; wanted a multiple of 512"):
            mosaic_tasks(maps, WEST, 700, Path("work"))

    def test_maps_with_other_layers_are_named(self, maps: list[Path], tmp_path: Path) -> None:
        share = [constant(WEST, 50)] * 2
        folder = write_map(tmp_path / "two", WEST, landscape(WEST), constant(WEST, 9), *share)
        layers = (*LAYERS, *["probabilities.tif"] * 3)
        with pytest.raises(RasterError, match=r"has another number of bands.*got 2; wan"):
            fill_part(mosaic_tasks([folder], WEST, 512, tmp_path, layers)[0])


class TestTargetGrid:
    @pytest.mark.parametrize(
        ("text", "pixel"),
        [
            ("EPSG:3035", 10),
            ("EPSG:32633", 10),
            ("EPSG:3035@12.5", 12.5),
            # On the ground a pixel of 10 m is 10 / cos(50) m wide in Web Mercator.
            ("EPSG:3857", pytest.approx(15.55, abs=0.1)),
            # 10 m are 9.0e-5 degrees of latitude and 13.9e-5 of longitude; pixels are square.
            ("EPSG:4326", pytest.approx(11.4e-5, abs=0.2e-5)),
        ],
    )
    def test_a_pixel_is_as_fine_as_the_finest_or_as_asked(self, text: str, pixel: float) -> None:
        coarse = GeoBox((50, 62), Affine(100, 0, 709_504, 0, -100, 5_543_007), "EPSG:32632")
        geobox = mosaic_grid(text, [coarse, EAST])
        assert geobox.resolution.x == pixel
        assert geobox.resolution.y == -geobox.resolution.x

    @pytest.mark.parametrize("text", ["EPSG:3035@10", "EPSG:4326@0.0001", "EPSG:32632@25"])
    def test_it_covers_all_scenes_and_no_more_on_whole_multiples(self, text: str) -> None:
        geobox = mosaic_grid(text, [WEST, EAST])
        pixel = geobox.resolution.x
        for edge in (geobox.affine.c, geobox.affine.f):
            assert edge / pixel == pytest.approx(round(edge / pixel), abs=1e-6)
        xs, ys = [], []
        for box in (WEST, EAST):
            to_target = Transformer.from_crs(box.crs.epsg, geobox.crs.epsg, always_xy=True)
            along = np.linspace(0, 1, 2001)
            cols = np.concatenate([along, along, 0 * along, 0 * along + 1]) * box.shape[1]
            rows = np.concatenate([0 * along, 0 * along + 1, along, along]) * box.shape[0]
            x, y = to_target.transform(*(box.affine @ (cols, rows)))
            xs.append(x)
            ys.append(y)
        left, bottom, right, top = grid.bounds(geobox)
        slack = 0.02 * pixel
        assert left <= np.min(xs) + slack and np.max(xs) <= right + slack
        assert bottom <= np.min(ys) + slack and np.max(ys) <= top + slack
        assert np.min(xs) - left < pixel and right - np.max(xs) < pixel
        assert np.min(ys) - bottom < pixel and top - np.max(ys) < pixel

    def test_a_raster_lends_its_grid(self, maps: list[Path]) -> None:
        assert mosaic_grid(str(maps[0] / "classes.tif"), [EAST]) == WEST

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("nowhere.tif", r"nowhere\.tif: is neither a raster file nor a CRS; wanted EPSG:3035"),
            ("EPSG:99999999", "is neither a raster file nor a CRS"),
            ("EPSG:4978", "is neither a geographic nor a projected CRS; got Geocentric CRS"),
            ("EPSG:3035@", "the pixel size must be positive; got nothing"),
            ("EPSG:3035@ten", "the pixel size must be positive; got ten"),
            ("EPSG:3035@0", "the pixel size must be positive; got 0"),
            ("EPSG:3035@-10", "the pixel size must be positive; got -10"),
            ("EPSG:3035@inf", "the pixel size must be positive; got inf"),
            ("EPSG:3035@0.0001", "too large; got 5.69e.07 x 1.11e.08 px. Next: name a"),
        ],
    )
    def test_nonsense_is_named(self, text: str, message: str) -> None:
        with pytest.raises(GridError, match=message):
            mosaic_grid(text, [WEST, EAST])
