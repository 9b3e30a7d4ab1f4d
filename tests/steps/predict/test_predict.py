"""Prediction: every pixel once, the same bytes however the work is cut, nothing made up."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
import torch
from affine import Affine
from networks import TWO_CLASSES, Pooling, save_fcn, spec_for
from rio_cogeo import cog_validate
from small_scene import MakeRaster, SmallScene

import geoseg
from geoseg import grid
from geoseg.errors import GridError, ModelError, RasterError, RetryError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.models.input_scaling import scaled
from geoseg.models.run.decide import decide
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.run.predictor import Layers
from geoseg.models.saved.model_files import load_network
from geoseg.raster import FileSource
from geoseg.steps.predict import map_region as region_module
from geoseg.steps.predict import map_scenes as scenes_module
from geoseg.steps.predict.map_cores import map_cores
from geoseg.steps.predict.region_pixels import Windowing, read_region

FP32 = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)
B3 = ("b1", "b2", "b3")
map_region = region_module.map_region


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fcn(tmp_path_factory.mktemp("model"), spec_for(B3))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """1100 x 1300 px with a ragged hole and an empty corner."""
    rng = np.random.default_rng(11)
    pixels = rng.integers(200, 2000, (3, 1100, 1300), dtype=np.uint16)
    pixels[:, 300:420, 500:777] = 0
    pixels[:, 600:, :600] = 0
    path = tmp_path_factory.mktemp("large") / "large.tif"
    return make_raster(path, pixels, nodata=0, tiled=True, blockxsize=256, blockysize=256)


@pytest.fixture(scope="module")
def large_map(tmp_path_factory: pytest.TempPathFactory, model: Path, large: Path) -> Path:
    options = FP32.model_copy(update={"region": 512})
    (folder,) = geoseg.predict(large, model, tmp_path_factory.mktemp("map") / "m", options=options)
    return folder


def mapped(
    source: FileSource, predictor: NetworkPredictor, window: int, *, halo: int
) -> tuple[Layers, int]:
    """The whole scene as one region."""
    area = grid.whole(source.geobox.shape)
    return map_cores(
        read_region(source, area, Windowing(window, halo), predictor.stride), predictor
    )


class _Noting:
    """map_region that notes what it did in files, which every copy of it sees."""

    def __init__(self, notes: Path, fail_after: int = 99) -> None:
        notes.mkdir()
        self.notes, self.fail_after = notes, fail_after

    def __call__(self, task: region_module.RegionTask) -> object:
        if len(list(self.notes.iterdir())) >= self.fail_after:
            raise RetryError("the disk is full", where=task.name)
        result = map_region(task)
        (self.notes / task.name).touch()
        return result


@pytest.mark.parametrize("window", [32, 64])
def test_tiled_prediction_equals_the_whole_image_bit_for_bit(
    scene: SmallScene, window: int
) -> None:
    spec = spec_for(B3, stride=4, halo=16)
    predictor = NetworkPredictor(Pooling(3, 2), spec)
    source = FileSource(scene.path)
    block = source.read(grid.whole(source.geobox.shape))
    classes, confidence = predictor(block.pixels, block.valid, Window(0, 0, 96, 128))
    values, windows = mapped(source, predictor, window, halo=16)
    assert np.array_equal(values[0], np.where(scene.valid, classes, 255))
    assert np.array_equal(values[1], np.where(scene.valid, confidence, 255))
    assert 0 < (values[0] == 1).mean() < 1
    assert windows == -(-96 // window) * (128 // window)


def test_a_scene_of_no_multiple_of_the_stride_equals_its_padded_whole(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    rng = np.random.default_rng(0)
    path = make_raster(tmp_path / "odd.tif", rng.integers(1, 2000, (3, 97, 131), dtype=np.uint16))
    predictor = NetworkPredictor(Pooling(3, 2), spec_for(B3, stride=4, halo=16))
    source = FileSource(path)
    whole = source.read(Window(0, 0, 100, 132))
    expected = predictor(whole.pixels, whole.valid, Window(0, 0, 97, 131))[0]
    values, _ = mapped(source, predictor, 32, halo=16)
    assert np.array_equal(values[0], expected)


def test_a_halo_smaller_than_the_receptive_field_shows(scene: SmallScene) -> None:
    predictor = NetworkPredictor(Pooling(3, 2), spec_for(B3, stride=4, halo=16))
    source = FileSource(scene.path)
    enough = mapped(source, predictor, 32, halo=16)[0]
    less = mapped(source, predictor, 32, halo=4)[0]
    assert not np.array_equal(enough, less)


@pytest.mark.slow
def test_workers_and_regions_do_not_change_a_byte(model: Path, large: Path, tmp_path: Path) -> None:
    sums = set()
    for workers, region in ((2, 512), (0, 1024), (0, None)):
        options = FP32.model_copy(update={"workers": workers, "region": region})
        (folder,) = geoseg.predict(large, model, tmp_path / f"{workers}-{region}", options=options)
        sums.add((sha256(folder / "classes.tif"), sha256(folder / "confidence.tif")))
    assert len(sums) == 1


def test_the_map_is_a_coloured_cog_with_named_classes(large_map: Path, large: Path) -> None:
    folder = large_map
    assert cog_validate(folder / "classes.tif", strict=True)[0]
    assert cog_validate(folder / "confidence.tif", strict=True)[0]
    with rasterio.open(folder / "classes.tif") as dataset, rasterio.open(large) as scene:
        assert dataset.dtypes == ("uint8",)
        assert dataset.nodata == 255
        assert dataset.colormap(1)[1] == (0xD7, 0x19, 0x1C, 255)
        assert dataset.transform == scene.transform
        assert dataset.crs == scene.crs
        empty = scene.read(1) == 0
        assert np.array_equal(dataset.read(1) == 255, empty)
        assert set(np.unique(dataset.read(1))) <= {0, 1, 255}
    with rasterio.open(folder / "confidence.tif") as dataset:
        percent = dataset.read(1)
        assert np.array_equal(percent == 255, empty)
        assert percent[~empty].min() >= 50  # of two classes the likelier has at least half
        assert percent[~empty].max() <= 100
    names = (folder / "classes.tif.aux.xml").read_text(encoding="utf-8")
    assert "building" in names
    assert sorted(p.name for p in folder.iterdir()) == [
        ".regions.json", "classes.tif", "classes.tif.aux.xml", "classes.yaml", "confidence.tif",
        "run.json",
    ]  # fmt: skip


def test_windows_without_data_never_reach_the_model(large_map: Path) -> None:
    counts = json.loads((large_map / "run.json").read_text(encoding="utf-8"))["counts"]
    # 5 x 6 windows; rows 768-1099 of columns 0-511 are empty: 2 x 2 windows
    assert (counts["windows"], counts["skipped_windows"]) == (26, 4)
    assert counts["nodata_pixels"] == 120 * 277 + 500 * 600
    assert sum(counts["pixels"].values()) == 1100 * 1300 - counts["nodata_pixels"]


@pytest.mark.slow
def test_a_run_that_failed_goes_on_and_ends_with_the_same_bytes(
    model: Path, make_raster: MakeRaster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pixels = np.random.default_rng(11).integers(200, 2000, (3, 520, 1040), dtype=np.uint16)
    scene = make_raster(tmp_path / "scene.tif", pixels, tiled=True)
    options = FP32.model_copy(update={"region": 512})
    (undisturbed,) = geoseg.predict(scene, model, tmp_path / "a", options=options)
    first, second = tmp_path / "first", tmp_path / "second"
    monkeypatch.setattr(scenes_module, "map_region", _Noting(first, fail_after=3))
    with pytest.raises(RetryError, match="disk is full"):
        geoseg.predict(scene, model, tmp_path / "b", options=options)
    assert not (tmp_path / "b" / "classes.tif").exists()
    monkeypatch.setattr(scenes_module, "map_region", _Noting(second))
    (resumed,) = geoseg.predict(scene, model, tmp_path / "b", options=options)
    done, again = ({p.name for p in notes.iterdir()} for notes in (first, second))
    assert len(done | again) == 6
    assert len(done & again) <= 4  # what was in flight when the run failed
    assert len(again) < 6
    assert sha256(resumed / "classes.tif") == sha256(undisturbed / "classes.tif")


def test_an_unchanged_map_is_not_made_again(
    model: Path, scene: SmallScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder,) = geoseg.predict(scene.path, model, tmp_path / "map")
    before = (folder / "classes.tif").stat().st_mtime_ns
    monkeypatch.setattr(scenes_module, "map_region", lambda task: pytest.fail("was made again"))
    geoseg.predict(scene.path, model, tmp_path / "map")
    assert (folder / "classes.tif").stat().st_mtime_ns == before


def test_a_pixel_of_nan_is_no_data_and_spoils_no_other(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    rng = np.random.default_rng(2)
    pixels = rng.normal(1000, 300, (3, 96, 128)).astype(np.float32)
    clean = make_raster(tmp_path / "clean.tif", pixels)
    pixels[1, 40, 50] = np.nan
    pixels[2, 41, 50] = np.inf
    dirty = make_raster(tmp_path / "dirty.tif", pixels)
    model = save_fcn(tmp_path / "model", spec_for(B3, dtype="float32"))
    maps = []
    for path in (clean, dirty):
        (folder,) = geoseg.predict(path, model, tmp_path / path.stem, options=FP32)
        with rasterio.open(folder / "classes.tif") as dataset:
            maps.append(dataset.read(1))
    assert np.argwhere(maps[1] == 255).tolist() == [[40, 50], [41, 50]]
    far = np.ones((96, 128), bool)
    far[40 - 7 : 41 + 8, 50 - 7 : 50 + 8] = False
    assert np.array_equal(maps[0][far], maps[1][far])


def test_transparent_pixels_of_an_rgba_scene_are_no_data(
    tmp_path: Path, make_raster: MakeRaster
) -> None:
    rng = np.random.default_rng(2)
    rgba = rng.integers(0, 255, (4, 96, 128), dtype=np.uint8)
    rgba[3] = 255
    rgba[3, :10] = 127
    rgba[3, 10:20] = 128
    path = make_raster(tmp_path / "rgba.tif", rgba, photometric="RGB", alpha="unspecified")
    with rasterio.open(path, "r+") as dataset:
        dataset.colorinterp = [
            rasterio.enums.ColorInterp[c] for c in ("red", "green", "blue", "alpha")
        ]
    model = save_fcn(tmp_path / "model", spec_for(("red", "green", "blue"), dtype="uint8"))
    (folder,) = geoseg.predict(path, model, tmp_path / "map")
    with rasterio.open(folder / "classes.tif") as dataset:
        assert np.array_equal(np.flatnonzero((dataset.read(1) == 255).all(axis=1)), np.arange(10))


def test_a_rotated_scene_is_mapped_on_its_own_rotated_grid(
    model: Path, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
) -> None:
    rotated = Affine.translation(5e5, 5e6) @ Affine.rotation(30) @ Affine.scale(0.5, -0.5)
    path = make_raster(tmp_path / "rotated.tif", scene.pixels, nodata=0, transform=rotated)
    (folder,) = geoseg.predict(path, model, tmp_path / "map", options=FP32)
    (straight,) = geoseg.predict(scene.path, model, tmp_path / "straight", options=FP32)
    with (
        rasterio.open(folder / "classes.tif") as dataset,
        rasterio.open(straight / "classes.tif") as north_up,
    ):
        assert dataset.transform.almost_equals(rotated)
        assert np.array_equal(dataset.read(1), north_up.read(1))
    polygons = geoseg.vectorize(folder / "classes.tif", tmp_path / "rotated.gpkg")
    import geopandas

    area = geopandas.read_file(polygons, layer="landcover").area.sum()
    assert area == pytest.approx((96 * 128 - 16 * 24) * 0.25, rel=1e-9)


def test_a_scene_without_crs_is_refused_by_name(
    model: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    path = make_raster(tmp_path / "lost.tif", np.ones((3, 96, 128), np.uint16), crs=None)
    with pytest.raises(RasterError, match=r"lost\.tif: has no CRS.*--crs"):
        geoseg.predict(path, model, tmp_path / "map")
    options = geoseg.PredictOptions(crs="EPSG:28992")
    (folder,) = geoseg.predict(path, model, tmp_path / "map", options=options)
    with rasterio.open(folder / "classes.tif") as dataset:
        assert dataset.crs.to_epsg() == 28992


def test_a_scene_with_other_bands_is_refused_until_they_are_named(
    model: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    path = make_raster(tmp_path / "five.tif", np.full((5, 96, 128), 900, np.uint16))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = ("blue", "green", "red", "nir", "swir")
    with pytest.raises(ModelError, match=r"other bands.*blue, green, red, nir, swir.*--bands"):
        geoseg.predict(path, model, tmp_path / "map")
    options = geoseg.PredictOptions(bands="red,green,1")
    assert geoseg.predict(path, model, tmp_path / "map", options=options)


def test_pixels_of_another_kind_are_refused(
    model: Path, tmp_path: Path, make_raster: MakeRaster
) -> None:
    path = make_raster(
        tmp_path / "bytes.tif", np.ones((3, 96, 128), np.uint8), photometric="minisblack"
    )
    with pytest.raises(ModelError, match="another range.*uint8.*uint16"):
        geoseg.predict(path, model, tmp_path / "map")


def test_pixels_of_another_size_are_refused_or_resampled(tmp_path: Path, scene: SmallScene) -> None:
    model = save_fcn(tmp_path / "coarse", spec_for(B3, gsd_m=1.0))
    with pytest.raises(ModelError, match=r"another pixel size.*0\.5 m.*1 m.*--gsd model"):
        geoseg.predict(scene.path, model, tmp_path / "map")
    options = geoseg.PredictOptions(gsd="model")
    (folder,) = geoseg.predict(scene.path, model, tmp_path / "map", options=options)
    with rasterio.open(folder / "classes.tif") as dataset:
        assert dataset.shape == (48, 64)
        assert dataset.bounds == pytest.approx((500_000, 4_999_952, 500_064, 5_000_000))


def test_a_window_off_the_stride_and_a_region_off_the_blocks_are_refused(
    tmp_path: Path, scene: SmallScene
) -> None:
    model = save_fcn(tmp_path / "model", spec_for(B3, stride=32, halo=64))
    with pytest.raises(GridError, match="--window.*multiple of 32"):
        geoseg.predict(
            scene.path, model, tmp_path / "map", options=geoseg.PredictOptions(window=80)
        )
    with pytest.raises(GridError, match="--region"):
        geoseg.predict(
            scene.path, model, tmp_path / "map", options=geoseg.PredictOptions(region=600)
        )


def test_two_scenes_get_a_folder_each(
    model: Path, tmp_path: Path, make_raster: MakeRaster, scene: SmallScene
) -> None:
    other = make_raster(tmp_path / "other.tif", scene.pixels + 1)
    folders = geoseg.predict([scene.path, other], model, tmp_path / "maps")
    assert [folder.name for folder in folders] == ["scene", "other"]
    assert all((folder / "classes.tif").is_file() for folder in folders)


def test_an_xarray_is_mapped_like_the_file_it_came_from(
    model: Path, tmp_path: Path, scene: SmallScene
) -> None:
    from odc.geo.xr import wrap_xr

    source = FileSource(scene.path)
    array = wrap_xr(scene.pixels, source.geobox, nodata=0, axis=1)
    array = array.chunk({array.dims[1]: 40})
    numbered = geoseg.PredictOptions(engine="torch", precision="fp32", window=256, bands="1,2,3")
    (from_array,) = geoseg.predict(array, model, tmp_path / "array", options=numbered)
    (from_file,) = geoseg.predict(scene.path, model, tmp_path / "file", options=FP32)
    assert sha256(from_array / "classes.tif") == sha256(from_file / "classes.tif")


def test_damaged_weights_are_noticed(tmp_path: Path) -> None:
    folder = save_fcn(tmp_path / "model", spec_for(B3))
    weights = folder / "model.safetensors"
    data = bytearray(weights.read_bytes())
    data[-5] ^= 8
    weights.write_bytes(data)
    with pytest.raises(ModelError, match="do not belong to the spec"):
        load_network(folder)


def test_logits_that_are_not_finite_are_a_failure_with_its_window(scene: SmallScene) -> None:
    class Broken(torch.nn.Module):
        def forward(self, image: torch.Tensor) -> torch.Tensor:
            return torch.full((1, 2, *image.shape[2:]), float("nan"))

    predictor = NetworkPredictor(Broken(), spec_for(B3))
    with pytest.raises(ModelError, match="not finite in rows 0-64, columns 0-64"):
        mapped(FileSource(scene.path), predictor, 64, halo=6)


def test_confidence_is_the_softmax_of_the_winner_in_percent() -> None:
    logits = torch.tensor([[[0.0]], [[np.log(3.0)]]])
    classes, percent = decide(logits)
    assert (classes.item(), percent.item()) == (1, 75)


def test_pixels_without_data_become_the_mean_of_their_band() -> None:
    pixels = torch.tensor([[[[1200, 9999]]]], dtype=torch.uint16)
    valid = torch.tensor([[[True, False]]])
    assert scaled(pixels, valid, (1000.0,), (400.0,)).tolist() == [[[[0.5, 0.0]]]]
    assert scaled(pixels, valid, (1000.0,), (0.0,)).tolist() == [[[[200.0, 0.0]]]]


def test_the_scheme_travels_with_the_map(model: Path, scene: SmallScene, tmp_path: Path) -> None:
    from geoseg.classes import load_yaml

    (folder,) = geoseg.predict(scene.path, model, tmp_path / "map")
    assert load_yaml(folder / "classes.yaml") == TWO_CLASSES
