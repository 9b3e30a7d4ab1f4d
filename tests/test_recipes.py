"""Views, ensembles, dropout, measures of confidence and blending, against numpy and by hand."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from conftest import MakeRaster, SmallScene
from networks import TWO_CLASSES, Pooling, save_fcn, spec_for, undecided
from numpy.typing import NDArray
from rasterio.enums import ColorInterp
from torch import nn

import geoseg
from geoseg import grid
from geoseg.classes import ClassScheme
from geoseg.errors import ConfigError, ModelError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.models.networks import dropout
from geoseg.models.networks.build import build
from geoseg.models.run.decide import layers
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.network_predictors import Ensemble, NetworkPredictor
from geoseg.models.run.predictor import Layers
from geoseg.models.saved.model_files import load_network, save_model
from geoseg.models.saved.spec import ModelSpec
from geoseg.models.saved_model import SavedModel
from geoseg.raster import FileSource
from geoseg.steps.predict.map_blended import map_blended
from geoseg.steps.predict.map_cores import map_cores
from geoseg.steps.predict.region_pixels import Windowing, read_region

B3 = ("b1", "b2", "b3")
FP32 = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)
SPEC = spec_for(B3, stride=4, halo=16)
SHAPE = (96, 128)
WHOLE = grid.whole(SHAPE)
EVERYWHERE = np.ones(SHAPE, bool)
COLOURS = ("#1f78b4", "#33a02c", "#e31a1c", "#ff7f00")
NAMES = ("water", "forest", "built-up", "bare soil")

type Floats = NDArray[np.float64]
type Network = Callable[[Floats], Floats]


def scheme_of(count: int) -> ClassScheme:
    pairs = zip(NAMES[:count], COLOURS[:count], strict=True)
    return ClassScheme.model_validate({"classes": [{"name": n, "color": c} for n, c in pairs]})


def random_pixels(seed: int = 1, shape: tuple[int, int] = SHAPE) -> NDArray[np.uint16]:
    return np.random.default_rng(seed).integers(200, 2000, (3, *shape), dtype=np.uint16)


def softmax(
    network: nn.Module, pixels: NDArray[Any], mean: float = 1000.0, std: float = 400.0
) -> Any:
    """(classes, rows, columns) of what a network makes of pixels, as it is."""
    image = ((pixels.astype(float) - mean) / std).astype(np.float32)
    with torch.inference_mode():
        logits = network(torch.from_numpy(np.ascontiguousarray(image))[None])[0].numpy()
    powers = np.exp(logits.astype(np.float64) - logits.max(axis=0))
    return powers / powers.sum(axis=0)


def mirrored(pixels: NDArray[Any], network: Network, *, transposed: bool) -> Iterator[Floats]:
    """What a network makes of the image and its mirror images, each turned back."""
    for down in (1, -1):
        for right in (1, -1):
            image = pixels[:, ::down, ::right]
            if transposed:
                yield network(image.transpose(0, 2, 1)).transpose(0, 2, 1)[:, ::down, ::right]
            else:
                yield network(image)[:, ::down, ::right]


class TestViews:
    @pytest.mark.parametrize(("views", "count"), [("flips", 4), ("turns", 8)])
    def test_the_probabilities_of_all_symmetries_are_averaged(self, views: Any, count: int) -> None:
        pixels, network = random_pixels(), Pooling(3, 2).eval()

        def alone(image: NDArray[Any]) -> Any:
            return softmax(network, image)

        found = list(mirrored(pixels, alone, transposed=False))
        found += list(mirrored(pixels, alone, transposed=True)) if views == "turns" else []
        assert len(found) == count
        assert np.abs(found[0] - found[1]).max() > 0.1, "the network is not symmetric"
        mean = np.mean(found, axis=0)
        settings = InferenceSettings(views=views, probabilities=True)
        predictor = NetworkPredictor(Pooling(3, 2), SPEC, settings)
        np.testing.assert_allclose(predictor.probabilities(pixels, EVERYWHERE), mean, atol=1e-5)
        values = predictor(pixels, EVERYWHERE, WHOLE)
        sure = np.abs(mean[0] - mean[1]) > 1e-4
        assert np.array_equal(values[0][sure], mean.argmax(axis=0)[sure])
        assert np.abs(values[1] - 100 * mean.max(axis=0)).max() <= 0.501
        assert np.abs(values[2:] - 100 * mean).max() <= 0.501

    @pytest.mark.parametrize("views", ["flips", "turns"])
    def test_a_network_that_knows_no_directions_gives_the_same_classes(self, views: Any) -> None:
        pixels = random_pixels()
        plain = NetworkPredictor(Round(), SPEC)(pixels, EVERYWHERE, WHOLE)
        turned = NetworkPredictor(Round(), SPEC, InferenceSettings(views=views))(
            pixels, EVERYWHERE, WHOLE
        )
        assert np.array_equal(plain[0], turned[0])
        assert 0.2 < plain[0].mean() < 0.8

    def test_of_a_view_only_the_core_is_kept(self) -> None:
        pixels = random_pixels()
        predictor = NetworkPredictor(Pooling(3, 2), SPEC, InferenceSettings(views="turns"))
        core = Window(8, 20, 40, 60)
        everything = predictor(pixels, EVERYWHERE, WHOLE)
        assert np.array_equal(predictor(pixels, EVERYWHERE, core), everything[:, 8:48, 20:80])


class Round(nn.Module):
    """The mean of the 3 x 3 pixels around, less 100, against nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 2, 3, padding=1)
        with torch.no_grad():
            self.conv.weight[0] = 1.0
            self.conv.weight[1] = -1.0
            self.conv.bias.copy_(torch.tensor([-2.0, 2.0]))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.conv(image)


def fcn(seed: int, classes: int = 2) -> nn.Module:
    torch.manual_seed(seed)
    network = build("fcn", "", 3, classes)
    undecided(network, network.last)
    return network.eval()


def save(folder: Path, network: nn.Module, spec: ModelSpec) -> Path:
    save_model(folder, network, spec)
    return folder


class TestEnsembles:
    def test_the_probabilities_of_the_models_are_averaged_each_with_its_own_scaling(
        self, tmp_path: Path
    ) -> None:
        specs = [spec_for(B3), spec_for(B3).model_copy(update={"mean": (500.0,) * 3})]
        folders = [save(tmp_path / f"{n}", fcn(n), spec) for n, spec in enumerate(specs)]
        pixels = random_pixels()
        mean = (softmax(fcn(0), pixels) + softmax(fcn(1), pixels, mean=500)) / 2
        ensemble = SavedModel.open(folders, InferenceSettings(confidence="margin")).load()
        assert isinstance(ensemble, Ensemble)
        np.testing.assert_allclose(ensemble.probabilities(pixels, EVERYWHERE), mean, atol=1e-5)
        values = ensemble(pixels, EVERYWHERE, WHOLE)
        sure = np.abs(mean[0] - mean[1]) > 1e-4
        assert np.array_equal(values[0][sure], mean.argmax(axis=0)[sure])
        assert np.abs(values[1] - 100 * np.abs(mean[0] - mean[1])).max() <= 0.501

    def test_the_order_of_the_models_does_not_matter(
        self, tmp_path: Path, scene: SmallScene
    ) -> None:
        models = [save(tmp_path / f"{n}", fcn(n), spec_for(B3)) for n in range(3)]
        found = []
        for name, order in (("one", models), ("other", models[::-1])):
            (folder,) = geoseg.predict(scene.path, order, tmp_path / name, options=FP32)
            with rasterio.open(folder / "classes.tif") as dataset:
                found.append(dataset.read(1))
        assert (found[0] == found[1]).mean() > 0.9999
        (alone,) = geoseg.predict(scene.path, models[0], tmp_path / "alone", options=FP32)
        with rasterio.open(alone / "classes.tif") as dataset:
            assert (dataset.read(1) != found[0]).mean() > 0.01, "one model alone says otherwise"

    def test_one_model_twice_is_that_model(self, tmp_path: Path, scene: SmallScene) -> None:
        model = save(tmp_path / "model", fcn(1), spec_for(B3))
        (once,) = geoseg.predict(scene.path, model, tmp_path / "once", options=FP32)
        (twice,) = geoseg.predict(scene.path, [model, model], tmp_path / "twice", options=FP32)
        assert sha256(once / "classes.tif") == sha256(twice / "classes.tif")

    @pytest.mark.parametrize(
        ("spec", "got"),
        [
            (spec_for(B3, scheme=scheme_of(2)), "b1, b2, b3, water, forest"),
            (spec_for(("b1", "b2", "nir")), "b1, b2, nir, land, building"),
        ],
        ids=["classes", "bands"],
    )
    def test_models_of_other_classes_or_bands_are_refused(
        self, spec: ModelSpec, got: str, tmp_path: Path, scene: SmallScene
    ) -> None:
        models = [save_fcn(tmp_path / "a", spec_for(B3)), save_fcn(tmp_path / "b", spec)]
        with pytest.raises(ModelError, match=f"b: maps other classes or bands.*got {got}; wanted"):
            geoseg.predict(scene.path, models, tmp_path / "map", options=FP32)

    def test_the_widest_view_and_a_common_stride_hold_for_all(self, tmp_path: Path) -> None:
        members = [
            NetworkPredictor(Pooling(3, 2), spec_for(B3, stride=stride, halo=halo))
            for stride, halo in ((4, 16), (6, 12))
        ]
        ensemble = Ensemble(members, InferenceSettings())
        assert (ensemble.stride, ensemble.halo) == (12, 16)


class TestConfidence:
    @pytest.mark.parametrize(
        ("kind", "percent"),
        [
            ("probability", [50, 100, 33, 70]),
            ("margin", [20, 100, 0, 40]),
            # 1 - 1.029653 / ln 3 and 1 - 0.610864 / ln 3
            ("entropy", [6, 100, 0, 44]),
        ],
    )
    def test_of_three_classes_by_hand(self, kind: Any, percent: list[int]) -> None:
        pixels = [[0.5, 0.3, 0.2], [0.0, 0.0, 1.0], [1 / 3] * 3, [0.3, 0.7, 0.0]]
        probabilities = torch.tensor(pixels).T[:, None]
        found = layers(probabilities, InferenceSettings(confidence=kind))
        assert found[0].tolist() == [[0, 2, 0, 1]]
        assert found[1].tolist() == [percent]

    @pytest.mark.parametrize("kind", ["margin", "entropy"])
    def test_the_measure_reaches_the_map(
        self, kind: Any, tmp_path: Path, scene: SmallScene
    ) -> None:
        network = fcn(3, 3)
        model = save(tmp_path / "model", network, spec_for(B3, scheme=scheme_of(3)))
        options = FP32.model_copy(update={"confidence": kind})
        (folder,) = geoseg.predict(scene.path, model, tmp_path / kind, options=options)
        chances = np.sort(softmax(network, np.where(scene.valid, scene.pixels, 1000)), axis=0)
        if kind == "margin":
            expected = chances[2] - chances[1]
        else:
            expected = 1 + (chances * np.log(chances.clip(1e-12))).sum(axis=0) / np.log(3)
        with rasterio.open(folder / "confidence.tif") as dataset:
            percent = dataset.read(1)
        assert np.array_equal(percent == 255, ~scene.valid)
        assert np.abs(percent - 100 * expected)[scene.valid].max() <= 0.51

    @pytest.mark.parametrize("kind", ["probability", "margin", "entropy"])
    def test_a_probability_that_is_not_finite_is_a_failure(self, kind: Any) -> None:
        with pytest.raises(ModelError, match="not finite"):
            layers(torch.full((2, 3, 4), float("nan")), InferenceSettings(confidence=kind))


class TestProbabilities:
    @pytest.mark.parametrize("count", [1, 2, 3, 4])
    def test_every_class_has_a_band_of_data_in_percent(
        self, count: int, tmp_path: Path, scene: SmallScene
    ) -> None:
        network = fcn(2, count)
        model = save(tmp_path / "model", network, spec_for(B3, scheme=scheme_of(count)))
        options = FP32.model_copy(update={"probabilities": True})
        (folder,) = geoseg.predict(scene.path, model, tmp_path / "map", options=options)
        expected = softmax(network, np.where(scene.valid, scene.pixels, 1000))
        with rasterio.open(folder / "probabilities.tif") as dataset:
            assert dataset.dtypes == ("uint8",) * count
            assert dataset.nodatavals == (255,) * count
            assert dataset.descriptions == tuple(f"{name} in percent" for name in NAMES[:count])
            assert set(dataset.colorinterp) <= {ColorInterp.gray, ColorInterp.undefined}
            assert dataset.tags(ns="IMAGE_STRUCTURE").get("LAYOUT") == "COG"
            percent = dataset.read().astype(int)
        assert (percent[:, ~scene.valid] == 255).all()
        assert np.abs(percent - 100 * expected)[:, scene.valid].max() <= 0.51
        assert np.abs(percent.sum(axis=0) - 100)[scene.valid].max() <= count / 2
        with rasterio.open(folder / "classes.tif") as dataset:
            classes = dataset.read(1)
        highest = percent.max(axis=0)
        chosen = np.take_along_axis(percent, classes.clip(0, count - 1)[None], axis=0)[0]
        assert (chosen == highest)[scene.valid].all(), "but for ties after rounding"
        source = FileSource(folder / "probabilities.tif")
        assert len(source.bands) == count, "none of them says which pixels are real"
        block = source.read(WHOLE)
        assert np.array_equal(block.valid, scene.valid)
        assert np.array_equal(block.pixels, percent)
        opened = geoseg.open_map(folder)
        assert opened.probabilities.shape == (count, *SHAPE)
        assert opened.probabilities["class"].values.tolist() == list(NAMES[:count])
        assert np.array_equal(opened.probabilities.values, percent)

    def test_without_being_asked_for_they_are_not_written(
        self, tmp_path: Path, scene: SmallScene
    ) -> None:
        model = save_fcn(tmp_path / "model", spec_for(B3))
        (folder,) = geoseg.predict(scene.path, model, tmp_path / "map", options=FP32)
        assert not (folder / "probabilities.tif").exists()


class Forgetful(nn.Module):
    """A convolution, a batch norm, both kinds of dropout and a decision."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.first, self.norm = nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16)
        self.values, self.channels = nn.Dropout(0.3), nn.Dropout2d(0.25)
        self.last = nn.Conv2d(16, 2, 1)
        self.norm.running_mean.uniform_(-1, 1)
        self.norm.running_var.uniform_(0.5, 2)
        undecided(self, self.last)
        self.norm.weight.data.fill_(1.0)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        return self.last(self.channels(self.values(torch.relu(self.norm(self.first(image))))))


class TestDropout:
    def test_the_same_window_gets_the_same_masks_in_any_order_and_thread(self) -> None:
        windows = [random_pixels(seed, (32, 16 * (2 + seed % 3))) for seed in range(9)]

        def fresh() -> NetworkPredictor:
            return NetworkPredictor(Forgetful(), spec_for(B3), InferenceSettings(passes=4))

        def of(predictor: NetworkPredictor, pixels: NDArray[Any]) -> Layers:
            shape = pixels.shape[1:]
            return predictor(pixels, np.ones(shape, bool), grid.whole(shape))

        first = fresh()
        alone = [of(first, each) for each in windows]
        second = fresh()
        with ThreadPoolExecutor(4) as threads:
            reverse = list(threads.map(lambda each: of(second, each), windows[::-1]))[::-1]
        for one, other in zip(alone, reverse, strict=True):
            assert np.array_equal(one, other)

    def test_passes_change_the_map_and_more_of_them_change_it_less(self) -> None:
        pixels = random_pixels()
        found = [
            NetworkPredictor(Forgetful(), spec_for(B3), InferenceSettings(passes=passes))
            .probabilities(pixels, EVERYWHERE)
            .numpy()
            for passes in (0, 1, 16, 64)
        ]
        one, some, many = (float(np.abs(each - found[3]).mean()) for each in found[:3])
        assert one > 0.001
        assert many < some / 2

    def test_dropout_zeroes_its_share_and_keeps_the_mean(self) -> None:
        values = torch.ones(1, 400, 10, 20)
        for kind, whole in ((nn.Dropout(0.25), False), (nn.Dropout2d(0.25), True)):
            network = dropout.keep_on(nn.Sequential(nn.Identity(), kind)).eval()
            dropout.seed(7)
            found = network(values)
            assert found.unique().tolist() == pytest.approx([0, 4 / 3])
            assert (found == 0).float().mean() == pytest.approx(0.25, abs=0.07)
            per_channel = found.flatten(2).std(dim=2)
            assert bool((per_channel == 0).all()) is whole
            dropout.seed(7)
            assert torch.equal(network(values), found)
            assert not torch.equal(network(values), found), "the next pass has other masks"

    def test_a_network_without_dropout_is_refused(self, tmp_path: Path, scene: SmallScene) -> None:
        model = save_fcn(tmp_path / "model", spec_for(B3))
        options = FP32.model_copy(update={"passes": 3})
        with pytest.raises(ModelError, match="no dropout to leave on.*--passes"):
            geoseg.predict(scene.path, model, tmp_path / "map", options=options)
        with pytest.raises(ModelError, match="no dropout to leave on"):
            dropout.keep_on(nn.Sequential(nn.Dropout(0.0)))

    @pytest.mark.slow
    def test_a_map_has_the_same_bytes_for_any_run_region_and_worker(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        scene = make_raster(tmp_path / "scene.tif", random_pixels(5, (600, 700)))
        torch.manual_seed(2)
        network = build("deeplabv3+", "resnet18", 3, 2)
        spec = spec_for(B3, stride=32, halo=32)
        deep = spec.model_copy(update={"architecture": "deeplabv3+", "backbone": "resnet18"})
        model = save(tmp_path / "model", network, deep)
        sums = {}
        for name, update in {
            "one": {"passes": 2},
            "again": {"passes": 2},
            "large": {"passes": 2, "region": 1024},
            "workers": {"passes": 2, "workers": 2},
            "without": {},
        }.items():
            options = FP32.model_copy(update=update)
            (folder,) = geoseg.predict(scene, model, tmp_path / name, options=options)
            sums[name] = sha256(folder / "confidence.tif")
        assert sums["one"] == sums["again"] == sums["large"] == sums["workers"]
        assert sums["one"] != sums["without"]


class Constant(nn.Module):
    """75 % for the second class, wherever."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        odds = torch.tensor([0.0, float(np.log(3))])[None, :, None, None]
        return odds.expand(1, 2, *image.shape[2:]) + 0 * image[:, :1]


@dataclass(frozen=True)
class Plain:
    """A predictor that tells no probabilities."""

    stride: int = 1
    halo: int = 0
    fingerprint: str = "plain"
    scheme: ClassScheme = TWO_CLASSES

    def __call__(self, pixels: Any, valid: Any, core: Window) -> Layers:
        return np.zeros((2, *core.shape), np.uint8)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> FileSource:
    """300 x 420 px with a hole."""
    pixels = random_pixels(8, (300, 420))
    pixels[:, 100:140, 50:200] = 0
    return FileSource(make_raster(tmp_path_factory.mktemp("wide") / "wide.tif", pixels, nodata=0))


class TestBlending:
    def blended(
        self, source: FileSource, predictor: NetworkPredictor, area: Window, side: int, halo: int
    ) -> Layers:
        windows = Windowing(side, halo, blend=True)
        return map_blended(read_region(source, area, windows, predictor.stride), predictor)[0]

    @pytest.mark.parametrize(("side", "halo"), [(64, 16), (64, 0), (128, 64), (32, 48)])
    def test_a_constant_stays_constant(self, side: int, halo: int, wide: FileSource) -> None:
        settings = InferenceSettings(probabilities=True)
        predictor = NetworkPredictor(Constant(), spec_for(B3, stride=4), settings)
        whole = grid.whole(wide.geobox.shape)
        values = self.blended(wide, predictor, whole, side, halo)
        valid = wide.read(whole).valid
        assert (values[:, ~valid] == 255).all()
        for layer, value in zip(values, (1, 75, 25, 75), strict=True):
            assert (layer[valid] == value).all()

    @pytest.mark.parametrize(
        ("side", "halo"), [(64, 16), (32, 48), pytest.param(32, 72, marks=pytest.mark.slow)]
    )
    def test_a_region_does_not_change_a_byte(self, side: int, halo: int, wide: FileSource) -> None:
        """Also where the context is wider than a window, so that the second next reaches in."""
        predictor = NetworkPredictor(Pooling(3, 2), SPEC, InferenceSettings(probabilities=True))
        whole = grid.whole(wide.geobox.shape)
        at_once = self.blended(wide, predictor, whole, side, halo)
        for part in grid.split(whole, 128):
            found = self.blended(wide, predictor, part, side, halo)
            assert np.array_equal(found, at_once[:, *part.slices])

    def test_where_every_window_sees_enough_the_map_is_that_of_owned_pixels(
        self, wide: FileSource
    ) -> None:
        side, halo, radius = 128, 48, 16
        predictor = NetworkPredictor(Pooling(3, 2), SPEC)
        whole = grid.whole(wide.geobox.shape)
        owned, count = map_cores(read_region(wide, whole, Windowing(side, halo), 4), predictor)
        blended = self.blended(wide, predictor, whole, side, halo)
        assert count == 3 * 4
        enough, alone = np.ones(whole.shape, bool), np.ones(whole.shape, bool)
        for tile in read_region(wide, whole, Windowing(side, halo, blend=True), 4).tiles:
            (row, col), (stop_row, stop_col) = (tile.read.row, tile.read.col), tile.read.stop
            inner = np.zeros(whole.shape, bool)
            top, left = row + radius * (row > 0), col + radius * (col > 0)
            bottom = stop_row - radius * (stop_row < 300)
            right = stop_col - radius * (stop_col < 420)
            inner[top:bottom, left:right] = True
            reached, core = np.zeros(whole.shape, bool), np.zeros(whole.shape, bool)
            reached[row:stop_row, col:stop_col] = True
            core[tile.core.slices] = True
            enough &= inner | ~reached
            alone &= core | ~reached
        assert enough.mean() > 0.5
        assert alone.mean() > 0.1
        assert np.array_equal(owned[:, alone], blended[:, alone])
        assert (owned[0] == blended[0])[enough].mean() > 0.9999
        assert not np.array_equal(owned[1], blended[1]), "elsewhere windows fade into each other"

    @pytest.mark.slow
    def test_a_map_has_the_same_bytes_for_any_region_and_worker(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        scene = make_raster(tmp_path / "scene.tif", random_pixels(5, (600, 700)))
        model = save_fcn(tmp_path / "model", spec_for(B3, halo=32))
        sums = set()
        for region, workers in ((512, 0), (1024, 0), (None, 0), (512, 2)):
            options = FP32.model_copy(update={"blend": True, "region": region, "workers": workers})
            (folder,) = geoseg.predict(
                scene, model, tmp_path / f"{region}{workers}", options=options
            )
            sums.add(tuple(sha256(folder / f"{n}.tif") for n in ("classes", "confidence")))
        assert len(sums) == 1

    @pytest.mark.parametrize("option", ["blend", "probabilities"])
    def test_a_predictor_without_probabilities_is_refused(
        self, option: str, tmp_path: Path, scene: SmallScene
    ) -> None:
        options = geoseg.PredictOptions.model_validate({option: True})
        with pytest.raises(ConfigError, match=f"--{option}: needs a model directory"):
            geoseg.predict(scene.path, Plain(), tmp_path / "map", options=options)


def test_a_recipe_on_a_model_directory_is_the_recipe_on_its_network(tmp_path: Path) -> None:
    folder = save_fcn(tmp_path / "model", spec_for(B3))
    settings = InferenceSettings(views="turns", confidence="entropy", probabilities=True)
    direct = NetworkPredictor(*load_network(folder), settings)
    loaded = SavedModel.open([folder], settings).load()
    pixels = random_pixels()
    assert np.array_equal(direct(pixels, EVERYWHERE, WHOLE), loaded(pixels, EVERYWHERE, WHOLE))
    assert loaded(pixels, EVERYWHERE, WHOLE).shape == (4, *SHAPE)
