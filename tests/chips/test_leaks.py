"""Ground in two splits: found in one scene, between scenes of any CRS, and in copies; refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
import rasterio
import rasterio.warp
import shapely
from affine import Affine
from odc.geo.geobox import GeoBox
from pyproj import Transformer
from small_scene import MakeRaster

import geoseg
from geoseg.chips import open_chips
from geoseg.chips.leaks import check_splits_apart
from geoseg.chips.overlaps import PlacedChips, link, overlaps
from geoseg.chips.split import fold_blocks
from geoseg.classes import ClassScheme
from geoseg.cli import _main
from geoseg.errors import ChipsError, ClassError, ConfigError

pytestmark = pytest.mark.filterwarnings("ignore:Dataset has no geotransform")  # as the CLI does
SCHEME = ClassScheme.model_validate(
    {"classes": [{"name": name, "color": "#000000"} for name in ("land", "water")]}
)
PIXEL = 10.0
SIDE = 256
OPTIONS = geoseg.TileOptions(size=32, block=64, buffer=32, val=0.2, test=0.2)
CHIP_M2 = (32 * PIXEL) ** 2


def affine(east: float = 0, south: float = 0) -> Affine:
    """Pixels of 10 m, moved by so many of them."""
    return Affine(PIXEL, 0, 600_000 + east * PIXEL, 0, -PIXEL, 5_000_000 - south * PIXEL)


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """Scenes of 256 x 320 px with a label raster each.

    a.tif; beside.tif to its east, edge to edge; over.tif, which has its 64 eastern columns;
    next_zone.tif, the ground of a.tif in the next UTM zone; copy.tif, a.tif under another name;
    moved.tif, the pixels of a.tif at another place.
    """
    folder = tmp_path_factory.mktemp("world")
    (folder / "labels").mkdir()
    rng = np.random.default_rng(3)

    def write(name: str, pixels: np.ndarray, **profile: object) -> None:
        make_raster(folder / f"{name}.tif", pixels, **profile)
        labels = rng.integers(0, 2, pixels.shape[1:], dtype=np.uint8)
        make_raster(folder / "labels" / f"{name}.tif", labels, **profile)

    for name, east in (("a", 0), ("beside", 320), ("over", 256), ("far", 5000)):
        pixels = rng.integers(1, 9999, (2, SIDE, 320), dtype=np.uint16)
        write(name, pixels, transform=affine(east))
    with rasterio.open(folder / "a.tif") as dataset:
        pixels = dataset.read()
        wanted = rasterio.warp.calculate_default_transform(
            dataset.crs, "EPSG:32634", 320, SIDE, *dataset.bounds, resolution=PIXEL
        )
    transform, width, height = wanted
    warped = np.zeros((2, height, width), np.uint16)
    rasterio.warp.reproject(
        pixels, warped, src_transform=affine(), src_crs="EPSG:32633",
        dst_transform=transform, dst_crs="EPSG:32634",
    )  # fmt: skip
    write("next_zone", warped, transform=transform, crs="EPSG:32634", nodata=0)
    shutil.copy(folder / "a.tif", folder / "copy.tif")
    write("moved", pixels, transform=affine(9000))
    return folder


def cut(
    world: Path, names: list[str], out: Path, options: geoseg.TileOptions = OPTIONS
) -> geoseg.chips.ChipSet:  # type: ignore[name-defined]
    scenes = [world / f"{name}.tif" for name in names]
    return open_chips(geoseg.tile(scenes, world / "labels", out, classes=SCHEME, options=options))


def test_scenes_that_overlap_are_refused_with_the_area_and_the_chips(
    world: Path, tmp_path: Path
) -> None:
    """64 of 256 columns: 2 columns of 8 chips lie exactly on 2 columns of the other scene."""
    with pytest.raises(ChipsError) as caught:
        cut(world, ["a", "over"], tmp_path / "chips")
    text = str(caught.value)
    assert f"{16 * CHIP_M2:.0f} m2 in 16 pairs of chips" in text
    assert f"chip 8 ({world / 'a.tif'} row 0 col 256) and chip 80" in text
    assert f"({world / 'over.tif'} row 0 col 0)" in text
    assert "wanted 0 m2" in text
    assert not (tmp_path / "chips" / "chips.json").exists()


def test_the_command_line_refuses_with_exit_code_2(
    world: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "classes.yaml").write_text(SCHEME.to_yaml(), encoding="utf-8")
    scenes = [str(world / "a.tif"), str(world / "over.tif")]
    classes = ["--labels", str(world / "labels"), "--classes", str(tmp_path / "classes.yaml")]
    code = _main(["tile", *scenes, *classes, "-o", str(tmp_path / "chips"), "--size", "32"])
    assert code == 2
    assert "1638400 m2 in 16 pairs of chips" in capsys.readouterr().err


def test_scenes_of_two_utm_zones_that_overlap_are_refused(world: Path, tmp_path: Path) -> None:
    """The same ground: what the chips share is the scene, to the scale of the projections."""
    with pytest.raises(ChipsError, match="scenes overlap") as caught:
        cut(world, ["a", "next_zone"], tmp_path / "chips")
    got = float(str(caught.value.got).split(" m2", maxsplit=1)[0])
    assert got == pytest.approx(SIDE * 320 * PIXEL**2, rel=1e-3)


def test_a_copy_under_another_name_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipsError, match=r"8192000 m2 in 80 pairs.*copy\.tif"):
        cut(world, ["a", "copy"], tmp_path / "chips")


def test_a_copy_that_says_it_lies_elsewhere_is_refused(world: Path, tmp_path: Path) -> None:
    with pytest.raises(ChipsError, match=r"the same pixels.* in 80 pairs of chips.*moved\.tif"):
        cut(world, ["a", "moved"], tmp_path / "chips")


def test_with_overlapping_buffer_chips_that_share_held_out_ground_are_left_out(
    world: Path, tmp_path: Path
) -> None:
    options = OPTIONS.model_copy(update={"overlapping": "buffer", "buffer": 8})
    for other in ("over", "next_zone"):
        chips = cut(world, ["a", other], tmp_path / other, options)
        placed, grids = _placed(chips)
        names = chips.index["split"].to_numpy().astype(str)
        assert {"train", "val", "test"} <= set(names)
        shared = overlaps(placed, grids)
        assert len(shared.pairs) >= 16
        assert check_splits_apart(placed, shared, names, ["a", other]) == 0
        ground = _ground(tmp_path / other)
        assert _common(ground, "train", "val") < PIXEL**2
        assert _common(ground, "train", "test") < PIXEL**2
        assert _common(ground, "val", "test") < PIXEL**2


def test_the_buffer_reaches_into_the_next_scene(world: Path, tmp_path: Path) -> None:
    """Edge to edge: no ground is shared, but training chips keep 320 m from held-out ones."""
    chips = cut(world, ["a", "beside"], tmp_path / "chips")
    assert chips.spec.overlap_m2 == 0
    ground = _ground(tmp_path / "chips")
    held = ground["val"].union(ground["test"])
    assert ground["train"].distance(held) >= 32 * PIXEL - 0.1
    assert {0, 1} == set(chips.index.loc[chips.index["split"] == "train", "scene"])


def test_a_split_that_shares_ground_is_refused_with_both_chips() -> None:
    """Chips of 32 px whose corners are 24 rows and 22 columns apart share 8 x 10 px of 100 m2."""
    placed = PlacedChips(np.zeros(2, np.int64), np.array([[0, 0], [24, 22]]), 32, np.ones((2, 1)))
    shared = overlaps(placed, [GeoBox((64, 64), affine(), "EPSG:32633")])
    assert shared.shared_m2.tolist() == [8000]
    with pytest.raises(ChipsError) as caught:
        check_splits_apart(placed, shared, np.array(["train", "val"]), ["a.tif"])
    assert caught.value.got == (
        "8000 m2 in 1 pairs of chips: chip 0 (train, a.tif row 0 col 0) and "
        "chip 1 (val, a.tif row 24 col 22), 8000 m2"
    )
    assert check_splits_apart(placed, shared, np.array(["train", "buffer"]), ["a.tif"]) == 0


def test_gaps_between_scenes_are_in_pixels_of_the_ground() -> None:
    """40 px to the east, in the same zone and, to within bends, seen from the next one."""
    one = GeoBox((32, 32), affine(), "EPSG:32633")
    other = GeoBox((32, 32), affine(72), "EPSG:32633")
    placed = PlacedChips(np.array([0, 1]), np.zeros((2, 2), np.int64), 32, np.ones((2, 1)))
    links = link(placed, [one, other], 64)
    assert (links.pairs.tolist(), links.gaps.tolist()) == ([[0, 1]], [40.0])
    assert links.shared_m2.tolist() == [0]
    assert not len(link(placed, [one, other], 39).pairs)
    x, y = Transformer.from_crs(32633, 32634, always_xy=True).transform(600_720, 5_000_000)
    turned = GeoBox((32, 32), Affine(PIXEL, 0, x, 0, -PIXEL, y), "EPSG:32634")
    assert link(placed, [one, turned], 64).gaps[0] == pytest.approx(40, abs=3)


def test_scenes_far_apart_or_beyond_a_projection_have_no_links() -> None:
    here = GeoBox((64, 64), affine(), "EPSG:32633")
    away = GeoBox((64, 64), Affine(PIXEL, 0, 5e5, 0, -PIXEL, 5e6), "EPSG:32601")
    south = GeoBox((64, 64), Affine(PIXEL, 0, 0, 0, -PIXEL, 0), "EPSG:3031")
    placed = PlacedChips(np.arange(3), np.zeros((3, 2), np.int64), 64, np.ones((3, 1)))
    assert not len(link(placed, [here, away, south], 500).pairs)


class TestFolds:
    def test_every_chip_validates_in_one_fold_and_trains_near_none(
        self, world: Path, tmp_path: Path
    ) -> None:
        options = OPTIONS.model_copy(update={"folds": 3, "test": 0.0})
        cut(world, ["a", "far"], tmp_path / "chips", options)
        folds = [open_chips(tmp_path / "chips", fold) for fold in (1, 2, 3)]
        validates = np.concatenate([each.positions("val") for each in folds])
        assert sorted(validates) == list(range(160))
        for each in folds:
            ground = _ground(tmp_path / "chips", f"split_{each.fold}")
            assert ground["train"].distance(ground["val"]) >= 32 * PIXEL - 0.1
            train = each.positions("train")
            values = each.images[train][:, 0][each.valid[train]]
            assert each.spec.bands[0].mean == pytest.approx(values.mean(), rel=1e-12)
            assert sum(each.spec.pixels["train"]) == each.pixels[train].sum()

    def test_test_chips_are_the_same_in_all_folds(self, world: Path, tmp_path: Path) -> None:
        options = OPTIONS.model_copy(update={"folds": 2})
        cut(world, ["far"], tmp_path / "chips", options)
        tests = [open_chips(tmp_path / "chips", fold).positions("test") for fold in (1, 2)]
        assert len(tests[0])
        assert np.array_equal(*tests)

    def test_scenes_leaves_out_one_scene_at_a_time(self, world: Path, tmp_path: Path) -> None:
        options = OPTIONS.model_copy(update={"folds": "scenes", "test": 0.0})
        cut(world, ["a", "far"], tmp_path / "chips", options)
        for fold in (1, 2):
            index = open_chips(tmp_path / "chips", fold).index
            assert set(index.loc[index["split"] == "val", "scene"]) == {fold - 1}
            assert set(index.loc[index["split"] == "train", "scene"]) == {2 - fold}

    def test_a_fold_that_is_not_there_is_refused(self, world: Path, tmp_path: Path) -> None:
        cut(world, ["far"], tmp_path / "chips")
        with pytest.raises(ConfigError, match="the chips have no folds"):
            open_chips(tmp_path / "chips", 1)

    def test_more_folds_than_blocks_are_refused(self) -> None:
        placed = PlacedChips(
            np.zeros(2, np.int64), np.array([[0, 0], [0, 32]]), 32, np.ones((2, 1), np.int64)
        )
        with pytest.raises(ChipsError, match="cannot be split"):
            fold_blocks(placed, np.array([0, 1]), 3, shares=(0, 0), buffer=0, seed=0)


class TestAreas:
    def write(self, path: Path, west_to_east: dict[str, tuple[float, float]]) -> Path:
        """Strips of all rows between columns, in lon/lat."""
        strips = [
            shapely.segmentize(
                shapely.box(600_000 + 10 * a, 4_990_000, 600_000 + 10 * b, 5_010_000), 500
            )
            for a, b in west_to_east.values()
        ]
        frame = gpd.GeoDataFrame({"split": list(west_to_east)}, geometry=strips, crs=32633)
        frame.to_crs(4326).to_file(path)
        return path

    def test_chips_go_where_their_ground_goes(self, world: Path, tmp_path: Path) -> None:
        """Chips on two areas or on none are left out, and so are those near held-out ones."""
        areas = {"train": (0, 130), "val": (160, 208), "test": (208, 300)}
        path = self.write(tmp_path / "areas.gpkg", areas)
        options = OPTIONS.model_copy(update={"areas": path})
        index = cut(world, ["a", "over"], tmp_path / "chips", options).index
        first = index[index["scene"] == 0].groupby("col")["split"].unique().map(set).to_dict()
        assert first == {
            0: {"train"}, 32: {"train"}, 64: {"train"}, 96: {"train"}, 128: {"buffer"},
            160: {"val"}, 192: {"buffer"}, 224: {"test"}, 256: {"test"}, 288: {"test"},
        }  # fmt: skip
        second = index[index["scene"] == 1].groupby("col")["split"].unique().map(set)
        assert second[0] == second[32] == {"test"}

    def test_areas_that_overlap_are_refused_with_the_area_and_the_polygons(
        self, world: Path, tmp_path: Path
    ) -> None:
        """20 columns of 10 m, of 256 rows the scene has and some more: the areas overlap there."""
        path = self.write(tmp_path / "areas.gpkg", {"train": (0, 180), "val": (160, 320)})
        options = OPTIONS.model_copy(update={"areas": path})
        with pytest.raises(ChipsError, match=r"polygon 1 \(train\) and 2 \(val\)") as caught:
            cut(world, ["a"], tmp_path / "chips", options)
        got = float(str(caught.value.got).split(" m2", maxsplit=1)[0])
        assert got >= 20 * SIDE * PIXEL**2
        assert not (tmp_path / "chips").exists()

    def test_another_word_is_refused_with_the_words(self, world: Path, tmp_path: Path) -> None:
        path = self.write(tmp_path / "areas.gpkg", {"train": (0, 100), "training": (100, 320)})
        options = OPTIONS.model_copy(update={"areas": path})
        with pytest.raises(
            ClassError,
            match="1 value.*'split' name no split.*'training' .1 x.; wanted train, val, test",
        ):
            cut(world, ["a"], tmp_path / "chips", options)

    def test_a_column_of_the_labels_says_it_too(self, world: Path, tmp_path: Path) -> None:
        boxes = [shapely.box(600_000 + 10 * a, 4_997_440, 600_000 + 10 * b, 5_000_000)
                 for a, b in ((0, 96), (128, 192), (224, 320))]  # fmt: skip
        names = ["train", "val", "test"]
        frame = gpd.GeoDataFrame({"kind": ["land", "water", "land"], "part": names}, geometry=boxes,
                                 crs=32633)  # fmt: skip
        frame.to_file(tmp_path / "labels.gpkg")
        scheme = SCHEME.model_copy(update={"column": "kind"})
        options = OPTIONS.model_copy(update={"split_column": "part"})
        folder = geoseg.tile(
            world / "a.tif", tmp_path / "labels.gpkg", tmp_path / "chips", classes=scheme,
            options=options,
        )  # fmt: skip
        index = open_chips(folder).index
        found = index.groupby("split")["col"].unique().map(set).to_dict()
        assert found == {"train": {0, 32, 64}, "val": {128, 160}, "test": {224, 256, 288}}

    def test_two_ways_at_once_are_refused(self, world: Path, tmp_path: Path) -> None:
        options = OPTIONS.model_copy(update={"areas": Path("x"), "test_area": Path("y")})
        with pytest.raises(ConfigError, match="--test-area"):
            cut(world, ["a"], tmp_path / "chips", options)


def test_the_balance_of_each_split_is_said(
    world: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="geoseg"):
        chips = cut(world, ["a"], tmp_path / "chips")
    train = chips.pixels[chips.positions("train")].sum(axis=0)
    line = next(each for each in caplog.messages if each.startswith("train "))
    assert line.split() == [
        "train", str(len(chips.positions("train"))), f"{train.sum():,}",
        *(f"{100 * n / train.sum():.1f}%" for n in train),
    ]  # fmt: skip
    assert "overlap of train, val and test: 0 m2" in caplog.messages


def _placed(chips: geoseg.chips.ChipSet) -> tuple[PlacedChips, list[GeoBox]]:  # type: ignore[name-defined]
    grids = [scene.geobox for scene in chips.spec.scenes]
    corners = chips.index[["row", "col"]].to_numpy()
    alone = PlacedChips(chips.index["scene"].to_numpy(), corners, chips.spec.size, chips.pixels)
    return PlacedChips(alone.scene, corners, alone.size, alone.pixels, link(alone, grids, 8)), grids


def _ground(folder: Path, column: str = "split") -> dict[str, shapely.Geometry]:
    """The ground of each split, by geopandas."""
    frame = gpd.read_file(folder / "chips.gpkg").to_crs(32633)
    return {name: rows.union_all() for name, rows in frame.groupby(column).geometry}


def _common(ground: dict[str, shapely.Geometry], one: str, other: str) -> float:
    return float(ground[one].intersection(ground[other]).area)
