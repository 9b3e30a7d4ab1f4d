"""What runs a network: every engine gives torch's classes, and the same bytes whatever the threads.

The choice of one is a trial on the scene; it is written down and kept.
"""

from __future__ import annotations

import copy
import ctypes
import gc
import json
import shutil
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from conftest import MakeRaster, SmallScene
from networks import TWO_CLASSES, Pooling, save_fcn, spec_for
from segmentation_models_pytorch import Unet
from torch import nn

import geoseg
from geoseg import grid
from geoseg.errors import ConfigError, ModelError, PartialError, RetryError
from geoseg.files import sha256
from geoseg.grid import Window
from geoseg.job import WorkerOptions, spread
from geoseg.models.input_scaling import scaled
from geoseg.models.run import engines, hardware, memory_cost
from geoseg.models.run.engines import torch_eager
from geoseg.models.run.inference_settings import Engine, InferenceSettings
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.run.predictor import Layers
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import ModelSpec
from geoseg.models.saved_model import SavedModel
from geoseg.raster import FileSource
from geoseg.steps.predict import choose_engine as choose_module
from geoseg.steps.predict import engine_trials, explain, predictor_cache, workers
from geoseg.steps.predict import map_scenes as scenes_module
from geoseg.steps.predict.choose_engine import choose
from geoseg.steps.predict.engine_choice import Choice, ChoiceTask, Trial
from geoseg.steps.predict.map_region import RegionTask

B3 = ("b1", "b2", "b3")
CPU = torch.device("cpu")
FP32 = Engine()
BF16 = Engine(precision="bf16")
ONNX = Engine(name="onnx")
OPENVINO = Engine(name="openvino")
OPENVINO_BF16 = Engine(name="openvino", precision="bf16")
TORCH_ONLY = geoseg.PredictOptions(engine="torch", precision="fp32", window=256)


def needs(name: str) -> pytest.MarkDecorator:
    return pytest.mark.skipif(find_spec(name) is None, reason=f"{name} is not installed")


EVERY = [
    pytest.param(FP32, id="torch-fp32"),
    pytest.param(BF16, id="torch-bf16"),
    pytest.param(ONNX, id="onnx", marks=needs("onnxruntime")),
    pytest.param(OPENVINO, id="openvino-fp32", marks=needs("openvino")),
    pytest.param(OPENVINO_BF16, id="openvino-bf16", marks=needs("openvino")),
]


def textures(seed: int, height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """(3, height, width) uint16 and (height, width): dull land, and bright rough squares on it."""
    rng = np.random.default_rng(seed)
    classes = np.zeros((height, width), bool)
    for row, col in zip(rng.integers(0, height, 6), rng.integers(0, width, 6), strict=True):
        classes[row : row + height // 3, col : col + width // 3] ^= True
    noise = rng.normal(0, 1, (3, height, width))
    pixels = np.where(classes, 1250 + 300 * noise, 800 + 60 * noise)
    return pixels.clip(1, 4000).astype(np.uint16), classes


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return spec_for(B3, stride=8, halo=32)


@pytest.fixture(scope="module")
def network(spec: ModelSpec) -> nn.Module:
    """A U-Net, half as deep as usual, that has learnt to tell the two textures."""
    torch.manual_seed(0)
    network: nn.Module = Unet(
        "resnet18", encoder_weights=None, encoder_depth=3, decoder_channels=(32, 16, 8), classes=2
    )
    for layer in network.modules():
        if isinstance(layer, nn.BatchNorm2d):
            layer.momentum = 0.4
    optimizer = torch.optim.Adam(network.parameters(), 3e-3)
    for step in range(16):
        pixels, classes = textures(step, 64, 128)
        images = scaled(
            torch.tensor(pixels[None]),
            torch.ones(1, 64, 128, dtype=torch.bool),
            spec.mean,
            spec.std,
        )
        loss = nn.functional.cross_entropy(network(images), torch.from_numpy(classes[None]).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network.eval()


@pytest.fixture(scope="module")
def predictor_on(network: nn.Module, spec: ModelSpec) -> Callable[[Engine], NetworkPredictor]:
    """A function (engine) that gives the U-Net on it for two slots, built once."""
    built: dict[Engine, NetworkPredictor] = {}

    def _on(engine: Engine) -> NetworkPredictor:
        if engine not in built:
            settings = InferenceSettings(engine=engine)
            built[engine] = NetworkPredictor(copy.deepcopy(network), spec, settings, slots=2)
        return built[engine]

    return _on


def mapped(predictor: NetworkPredictor, pixels: np.ndarray) -> Layers:
    shape = pixels.shape[1:]
    return predictor(pixels, np.ones(shape, bool), grid.whole(shape))


class TestEveryEngine:
    @pytest.mark.parametrize("engine", EVERY)
    def test_gives_the_classes_of_torch_in_float32(
        self, engine: Engine, predictor_on: Callable[[Engine], NetworkPredictor]
    ) -> None:
        pixels, truth = textures(99, 256, 384)
        wanted = mapped(predictor_on(FP32), pixels)
        assert (wanted[0] == truth).mean() > 0.8, "the network has learnt something"
        found = mapped(predictor_on(engine), pixels)
        same = float((found[0] == wanted[0]).mean())
        assert same > 0.9999 if engine.precision == "fp32" else same >= 0.998
        assert np.abs(found[1].astype(int) - wanted[1]).mean() < 1

    @pytest.mark.parametrize("engine", EVERY)
    def test_gives_the_same_bytes_from_four_threads_at_once_on_windows_of_any_size(
        self, engine: Engine, predictor_on: Callable[[Engine], NetworkPredictor]
    ) -> None:
        predictor = predictor_on(engine)
        shapes = [(64, 96), (160, 64), (64, 64), (96, 224), (64, 96), (128, 128)] * 2
        windows = [textures(seed, *shape)[0] for seed, shape in enumerate(shapes)]
        alone = [mapped(predictor, each) for each in windows]
        with ThreadPoolExecutor(4) as threads:
            together = list(threads.map(lambda each: mapped(predictor, each), windows))
        for shape, one, other in zip(shapes, alone, together, strict=True):
            assert one.shape == (2, *shape)
            assert np.array_equal(one, other)

    @pytest.mark.slow
    @pytest.mark.parametrize("slots", [1, 4])
    @pytest.mark.parametrize("engine", EVERY)
    def test_gives_the_same_bytes_whatever_the_slots(
        self,
        engine: Engine,
        slots: int,
        network: nn.Module,
        spec: ModelSpec,
        predictor_on: Callable[[Engine], NetworkPredictor],
    ) -> None:
        other = NetworkPredictor(
            copy.deepcopy(network),
            spec,
            InferenceSettings(engine=engine),
            device="cpu",
            slots=slots,
        )
        for seed, shape in enumerate([(256, 384), (64, 160)]):
            pixels, _ = textures(seed, *shape)
            assert np.array_equal(mapped(other, pixels), mapped(predictor_on(engine), pixels))

    @needs("openvino")
    def test_gives_the_same_bytes_for_slots_of_a_small_network(self) -> None:
        pixels, _ = textures(5, 96, 128)
        spec = spec_for(B3, stride=4, halo=16)
        found = [
            mapped(
                NetworkPredictor(Pooling(3, 2), spec, InferenceSettings(engine=OPENVINO), slots=n),
                pixels,
            )
            for n in (1, 2, 4)
        ]
        assert np.array_equal(found[0], found[1])
        assert np.array_equal(found[0], found[2])


class AlternateStack(ctypes.Structure):
    """A stack_t, as Linux lays it out."""

    _fields_ = (("start", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@needs("openvino")
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere signals use the common stack")
def test_signals_find_their_stack_when_networks_have_come_and_gone() -> None:
    kept = [engines.build(Pooling(3, 2), 3, OPENVINO, CPU, slots=1) for _ in range(3)]
    for _ in range(3):
        kept.pop(0)
        gc.collect()
    stack = AlternateStack()
    assert ctypes.CDLL(None).sigaltstack(None, ctypes.byref(stack)) == 0
    if stack.start is not None:
        maps = Path("/proc/self/maps").read_text(encoding="ascii").splitlines()
        spans = [[int(end, 16) for end in line.split()[0].split("-")] for line in maps]
        assert any(low <= stack.start < high for low, high in spans)


class Branched(nn.Module):
    """A batch norm after a convolution, one after an activation, and one whose input is used twice.

    The batch norms have seen other pixels than they get now, so that leaving one out shows.
    """

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        self.first, self.norm = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.second, self.late = nn.Conv2d(8, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.third, self.twice = nn.Conv2d(8, 2, 1), nn.BatchNorm2d(2)
        self.shared = True
        for norm in (self.norm, self.late, self.twice):
            norm.running_mean.uniform_(-1, 1)
            norm.running_var.uniform_(0.5, 2)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        image = self.norm(self.first(image))
        image = self.late(self.second(image).relu_())
        third = self.third(image)
        return self.twice(third) + (third if self.shared else 0)


@pytest.mark.parametrize(("shared", "left"), [(True, 3), (False, 1)])
def test_batch_norms_are_folded_only_where_the_logits_stay(shared: bool, left: int) -> None:
    """A convolution that is used twice spoils it for all; one behind an activation stays."""
    network = Branched().eval()
    network.shared = shared
    fused = torch_eager._fused(copy.deepcopy(network), 3)
    norms = [each for each in fused.modules() if isinstance(each, nn.BatchNorm2d)]
    assert len(norms) == left
    image = torch.randn(1, 3, 64, 96)
    with torch.inference_mode():
        torch.testing.assert_close(fused(image), network(image), rtol=1e-4, atol=1e-4)


def test_other_threads_map_while_an_engine_is_built(
    predictor_on: Callable[[Engine], NetworkPredictor], network: nn.Module
) -> None:
    predictor, (pixels, _) = predictor_on(FP32), textures(3, 64, 96)
    alone = mapped(predictor, pixels)
    with ThreadPoolExecutor(3) as threads:
        built = [
            threads.submit(engines.build, copy.deepcopy(network), 3, FP32, CPU, 1) for _ in range(2)
        ]
        while not all(each.done() for each in built):
            assert np.array_equal(mapped(predictor, pixels), alone)
        assert all(each.result() for each in built)


@pytest.mark.parametrize(
    ("engine", "package"), [(ONNX, "onnxruntime"), (OPENVINO, "openvino")], ids=str
)
def test_an_engine_that_is_not_installed_is_named_with_what_installs_it(
    engine: Engine, package: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engines, "find_spec", lambda name: None if name == package else find_spec)
    assert not engines.installed(engine)
    with pytest.raises(ConfigError, match=rf"pip install 'geoseg\[{engine.name}\]'") as caught:
        engines.build(Pooling(3, 2), 3, engine, CPU, 1)
    assert f"--engine {engine.name}: is not installed" in str(caught.value)


class Wordy(nn.Module):
    """Chooses its way by the text of a shape, which no exporter follows."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("this network runs nowhere")


@pytest.mark.parametrize(
    "engine",
    [
        pytest.param(ONNX, marks=needs("onnxruntime")),
        pytest.param(OPENVINO, marks=needs("openvino")),
    ],
    ids=str,
)
def test_a_network_that_an_engine_cannot_run_is_a_model_error(engine: Engine) -> None:
    with pytest.raises(ModelError, match="cannot run this network.*--engine torch"):
        engines.build(Wordy(), 3, engine, CPU, 1)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fcn(tmp_path_factory.mktemp("model"), spec_for(B3))


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """600 x 1100 px: 2 x 3 regions of 512 px."""
    rng = np.random.default_rng(11)
    pixels = rng.integers(200, 2000, (3, 600, 1100), dtype=np.uint16)
    return make_raster(tmp_path_factory.mktemp("large") / "large.tif", pixels, nodata=0)


class TestChoice:
    @pytest.fixture
    def task(self, model: Path, large: Path) -> ChoiceTask:
        saved = SavedModel.open([model], InferenceSettings())
        return ChoiceTask(FileSource(large), 1, saved, "auto", "auto", 256, 6, slots=1, processes=1)

    @pytest.fixture(autouse=True)
    def _released(self) -> Iterator[None]:
        """No test maps with the predictor of another."""
        yield
        predictor_cache.release()

    @pytest.fixture
    def patient(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Every trial pays, but for compiling."""
        monkeypatch.setattr(choose_module, "SHORT_S", 0.0)
        monkeypatch.setattr(engine_trials, "_pays", lambda setup, best, engine: not engine.compiled)

    @pytest.fixture
    def hurried(self) -> Iterator[None]:
        """No trial pays, however busy the processor is."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choose_module, "SHORT_S", 3600.0)
            yield

    @pytest.mark.parametrize(("name", "precision"), [("torch", "fp32"), ("torch", "bf16")])
    def test_an_engine_and_a_precision_that_were_asked_for_need_no_trial(
        self,
        task: ChoiceTask,
        name: Any,
        precision: Any,
        patient: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(engine_trials, "_try", lambda *_: pytest.fail("was tried"))
        choice = choose(replace(task, engine=name, precision=precision))
        assert choice.engine == Engine(name=name, precision=precision)
        assert choice.window == 256

    def test_a_short_job_takes_the_first_engine_untried(
        self, task: ChoiceTask, hurried: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(engine_trials, "_try", lambda *_: pytest.fail("was tried"))
        choice = choose(task)
        assert choice.engine == FP32
        assert "too short for trials" in choice.explain()

    def test_a_short_job_does_not_try_its_window(
        self, task: ChoiceTask, hurried: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        limited(monkeypatch, 0)
        choice = choose(replace(task, engine="torch", precision="fp32"))
        assert choice.window == 256
        assert "nothing else does what was asked for" in choice.explain()

    @pytest.mark.parametrize(
        ("capable", "wanted"), [(False, {"fp32"}), (True, {"fp32", "bf16"})], ids=["not", "capable"]
    )
    def test_bf16_is_considered_only_where_the_processor_computes_in_it(
        self, task: ChoiceTask, capable: bool, wanted: set[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(choose_module, "has_bf16", lambda: capable)
        found = choose_module._candidates(task)
        assert {each.precision for each in found} == wanted
        assert found[0] == FP32, "what the others are held to comes first"

    def test_an_engine_with_other_classes_is_refused_and_noted(
        self, task: ChoiceTask, patient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        honest = engines.build

        def dishonest(network: nn.Module, bands: int, engine: Engine, *more: Any) -> Any:
            forward = honest(network, bands, Engine(), *more)
            return forward if engine == FP32 else lambda images: -forward(images)

        monkeypatch.setattr(engines, "build", dishonest)
        monkeypatch.setattr(choose_module, "has_bf16", lambda: True)
        monkeypatch.setattr(engine_trials, "LEAD", 0.0)
        choice = choose(replace(task, engine="torch"))
        assert choice.engine == FP32
        first, second = choice.trials
        assert (first.engine, first.note) == (FP32, "chosen")
        assert (second.engine, second.note) == (BF16, "too many other classes")
        assert second.agreement is not None
        assert second.agreement < 0.05
        assert "% as fp32" in choice.explain()

    def test_the_fastest_engine_that_agrees_is_chosen_and_the_rest_is_explained(
        self, task: ChoiceTask, patient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        speeds = {FP32: 1.0, BF16: 1.1, OPENVINO_BF16: 3.0, OPENVINO: 3.2, ONNX: 2.0}

        def tried(setup: engine_trials.TrialSetup, engine: Engine, *_: Any) -> Any:
            trial = Trial(engine=engine, mpx_s=speeds[engine], agreement=0.9991, note="slower")
            return engine_trials._Tried(trial, np.zeros((2, 1, 1), np.uint8), predictor=setup)  # type: ignore[arg-type]

        monkeypatch.setattr(engine_trials, "_try", tried)
        monkeypatch.setattr(choose_module, "has_bf16", lambda: True)
        monkeypatch.setattr(choose_module, "installed", lambda engine: True)
        choice = choose(task)
        assert choice.engine == OPENVINO_BF16, "3.2 leads 3.0 by less than what noise does"
        assert [each.note for each in choice.trials] == [
            "slower", "slower", "chosen", "slower", "slower",
            "not tried: it would take longer than it could save",
        ]  # fmt: skip
        assert choice.explain().splitlines()[0] == "engine openvino bf16, window 256 px"
        assert "3.00 Mpx/s per thread" in choice.explain()
        assert "99.910 % as fp32" in choice.explain()

    @pytest.mark.parametrize(
        ("mpx", "pays"), [(1, set()), (4, {BF16}), (40, {BF16, OPENVINO_BF16, OPENVINO, ONNX})],
        ids=["1-none", "4-bf16", "40-all"],
    )  # fmt: skip
    def test_a_trial_has_to_save_more_than_it_costs(
        self, task: ChoiceTask, mpx: float, pays: set[Engine]
    ) -> None:
        """At 1 Mpx/s, bf16 (2 x, 2.5 x with luck) may save 0.6 of the seconds, fp32 a fifth."""
        block = FileSource(task.source.paths[0]).read(Window(0, 0, 512, 512))  # type: ignore[arg-type]
        setup = engine_trials.TrialSetup(task.model, block, 1, 1e6 * mpx)
        best = engine_trials._Tried(Trial(engine=FP32, mpx_s=1.0, note=""))
        engines_ = {BF16, OPENVINO_BF16, OPENVINO, ONNX, Engine(compiled=True)}
        assert {each for each in engines_ if engine_trials._pays(setup, best, each)} == pays

    @pytest.mark.slow
    def test_the_engine_that_won_is_not_loaded_again(
        self, task: ChoiceTask, patient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(choose_module, "has_bf16", lambda: False)
        choice = choose(replace(task, engine="auto"))
        assert choice.engine is not None
        settings = task.model.settings.model_copy(update={"engine": choice.engine})
        model = replace(task.model, settings=settings)
        monkeypatch.setattr(SavedModel, "load", lambda *_: pytest.fail("was loaded again"))
        with ThreadPoolExecutor(1) as pool:  # a thread of its own keeps torch's threads to itself
            predictor = pool.submit(predictor_cache.predictor_of, model, task.slots).result()
        assert predictor.stride == task.model.specs[0].stride
        predictor_cache.release()

    def test_an_engine_that_cannot_run_the_model_is_noted_and_left(
        self, task: ChoiceTask, patient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        honest = engines.build

        def build(network: nn.Module, bands: int, engine: Engine, *more: Any) -> Any:
            if engine == BF16:
                raise ModelError("cannot run this network")
            return honest(network, bands, engine, *more)

        monkeypatch.setattr(engines, "build", build)
        monkeypatch.setattr(choose_module, "has_bf16", lambda: True)
        choice = choose(replace(task, engine="torch"))
        assert choice.engine == FP32
        assert choice.trials[1].note == "cannot: cannot run this network"

    @pytest.mark.parametrize("engines_left", [1, 2])
    def test_a_window_that_does_not_fit_the_memory_is_halved(
        self,
        task: ChoiceTask,
        engines_left: int,
        patient: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(choose_module, "has_bf16", lambda: engines_left == 2)
        limited(monkeypatch, 300)
        choice = choose(replace(task, engine="torch", window=None))
        assert choice.window == 256
        assert len(choice.trials) == engines_left

    @pytest.mark.parametrize("engines_left", [1, 2])
    def test_a_window_that_was_asked_for_and_does_not_fit_is_said(
        self,
        task: ChoiceTask,
        engines_left: int,
        patient: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(choose_module, "has_bf16", lambda: engines_left == 2)
        limited(monkeypatch, 200)
        with pytest.raises(RetryError, match="does not fit the memory; got 256 px.*--window"):
            choose(replace(task, engine="torch"))

    def test_the_only_engine_left_runs_one_whole_window(
        self, task: ChoiceTask, patient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """512 px and 6 px of context on either side, where rivals would run 384 + 12 px."""
        fixed = replace(task, engine="torch", precision="fp32", window=512)
        limited(monkeypatch, 524)
        assert choose(fixed).window == 512
        limited(monkeypatch, 523)
        with pytest.raises(RetryError, match="got 512 px"):
            choose(fixed)

    def test_pixels_that_the_only_engine_cannot_map_do_not_stop_the_choice(
        self, task: ChoiceTask, patient: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(*_: Any) -> Layers:
            raise ModelError("the network returns numbers that are not finite")

        monkeypatch.setattr(NetworkPredictor, "__call__", fail)
        assert choose(replace(task, engine="torch", precision="fp32")).engine == FP32

    def test_a_region_whose_window_does_not_fit_is_reported_with_what_helps(
        self,
        model: Path,
        scene: SmallScene,
        tmp_path: Path,
        hurried: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        limited(monkeypatch, 100)
        with pytest.raises(PartialError, match="1 of 1 failed") as caught:
            geoseg.predict(scene.path, model, tmp_path / "map", options=TORCH_ONLY)
        ((_, reason),) = caught.value.failures
        assert "does not fit the memory; got 256 px" in reason
        assert "a smaller --window" in reason

    def test_a_window_that_fits_in_no_region_ends_the_work(
        self,
        model: Path,
        large: Path,
        tmp_path: Path,
        hurried: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(workers, "CPU_COUNT", 1)
        limited(monkeypatch, 0)
        with pytest.raises(
            RetryError, match="^a window does not fit the memory; got 256 px.*--win"
        ):
            geoseg.predict(large, model, tmp_path / "map", options=TORCH_ONLY)

    def test_a_small_memory_gets_a_small_window(
        self, task: ChoiceTask, hurried: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The FCN puts out 10 x 64 + 2 numbers a pixel, 2568 bytes, and holds half of that."""
        windows = {}
        for free_mb in (2800, 2700, 710, 700, 1):

            class Memory:
                available = free_mb * 1e6

            monkeypatch.setattr(choose_module.psutil, "virtual_memory", Memory)
            fixed = replace(task, window=None, engine="torch", precision="fp32")
            windows[free_mb] = choose(fixed).window
        # 1284 bytes times 1036^2 are 1378 MB, times 524^2 353 MB; half of what is free is for that
        assert windows == {2800: 1024, 2700: 512, 710: 512, 700: 256, 1: 256}

    @pytest.mark.parametrize("engine", ["onnx", "openvino"])
    def test_dropout_is_left_on_by_torch_only(self, engine: str, model: Path, large: Path) -> None:
        options = geoseg.PredictOptions.model_validate({"engine": engine, "passes": 3})
        with pytest.raises(ConfigError, match=f"no engine does this.*--engine {engine}.*--passes"):
            geoseg.predict(large, model, large.parent / "refused", options=options)

    def test_onnx_does_not_compute_in_bf16(self, task: ChoiceTask) -> None:
        with pytest.raises(ConfigError, match="onnx computes in fp32 only"):
            choose(replace(task, engine="onnx", precision="bf16"))

    @pytest.mark.slow
    def test_the_choice_is_kept_when_a_run_goes_on(
        self,
        model: Path,
        large: Path,
        tmp_path: Path,
        hurried: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        options = geoseg.PredictOptions(window=256)
        monkeypatch.setattr(scenes_module, "map_region", full_disk)
        with pytest.raises(RetryError):
            geoseg.predict(large, model, tmp_path / "map", options=options)
        monkeypatch.undo()
        (path,) = tmp_path.glob("map/.work-*/choice.json")
        assert Choice.model_validate_json(path.read_bytes()).engine == FP32
        path.write_text(Choice(engine=BF16, window=256).model_dump_json(), encoding="utf-8")
        monkeypatch.setattr(choose_module, "choose", lambda task: pytest.fail("chosen again"))
        (folder,) = geoseg.predict(large, model, tmp_path / "map", options=options)
        monkeypatch.undo()
        bf16 = options.model_copy(update={"engine": "torch", "precision": "bf16"})
        (asked,) = geoseg.predict(large, model, tmp_path / "asked", options=bf16)
        assert sha256(folder / "confidence.tif") == sha256(asked / "confidence.tif")
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert record["counts"]["choice"]["engine"] == BF16.model_dump()

    def test_the_scenes_of_a_call_agree_on_one_engine_also_when_it_goes_on_later(
        self, model: Path, scene: SmallScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scenes = [scene.path, Path(shutil.copy(scene.path, tmp_path / "other.tif"))]
        asked: list[int] = []

        def chosen(task: ChoiceTask) -> Choice:
            asked.append(task.scenes)
            return Choice(engine=BF16 if len(asked) == 1 else FP32, window=256)

        def engine_of(folder: Path) -> str:
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            return str(record["counts"]["choice"]["engine"]["precision"])

        monkeypatch.setattr(choose_module, "choose", chosen)
        options = geoseg.PredictOptions(window=256)
        folders = geoseg.predict(scenes, model, tmp_path / "maps", options=options)
        assert [engine_of(each) for each in folders] == ["bf16", "bf16"]
        shutil.rmtree(folders[1])
        geoseg.predict(scenes, model, tmp_path / "maps", options=options)
        assert engine_of(folders[1]) == "bf16"
        assert asked == [2]
        again = options.model_copy(update={"overwrite": True})
        geoseg.predict(scenes, model, tmp_path / "maps", options=again)
        assert [engine_of(each) for each in folders] == ["fp32", "fp32"]
        assert asked == [2, 2]

    def test_what_is_explained_is_what_is_used(
        self,
        model: Path,
        large: Path,
        tmp_path: Path,
        hurried: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        options = geoseg.PredictOptions(window=256)
        text = explain(large, model, tmp_path / "map", options=options)
        assert text.splitlines()[0] == "engine torch fp32, window 256 px"
        assert "too short for trials" in text
        assert not (tmp_path / "map" / "classes.tif").exists()
        monkeypatch.setattr(choose_module, "choose", lambda task: pytest.fail("chosen again"))
        (folder,) = geoseg.predict(large, model, tmp_path / "map", options=options)
        assert explain(large, model, tmp_path / "map", options=options) == text
        assert not list(folder.glob(".work-*"))

    def test_explain_says_that_an_engine_was_asked_for(
        self, model: Path, large: Path, tmp_path: Path
    ) -> None:
        text = explain(large, model, tmp_path / "map", options=TORCH_ONLY)
        assert text.splitlines()[0] == "engine torch fp32, window 256 px"
        assert "nothing else does what was asked for" in text

    @pytest.mark.slow
    @needs("openvino")
    def test_worker_processes_use_the_engine_of_the_job(
        self, model: Path, large: Path, tmp_path: Path
    ) -> None:
        sums = set()
        for count in (0, 2):
            options = geoseg.PredictOptions(
                engine="openvino", precision="fp32", window=256, workers=count
            )
            (folder,) = geoseg.predict(large, model, tmp_path / f"{count}", options=options)
            sums.add((sha256(folder / "classes.tif"), sha256(folder / "confidence.tif")))
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            assert record["counts"]["choice"]["engine"]["name"] == "openvino"
        assert len(sums) == 1


def full_disk(task: RegionTask) -> None:
    raise RetryError("the disk is full", where=task.name)


def limited(monkeypatch: pytest.MonkeyPatch, side: int) -> None:
    """Let windows wider than this exhaust the memory."""
    honest = engines.build

    def build(*arguments: Any) -> Any:
        forward = honest(*arguments)

        def limited_forward(images: torch.Tensor) -> torch.Tensor:
            if images.shape[-1] > side:
                raise torch.OutOfMemoryError("CUDA out of memory")
            return forward(images)

        return limited_forward

    monkeypatch.setattr(engines, "build", build)


@pytest.mark.parametrize(
    ("able", "expected"),
    [
        ({}, False),
        ({"avx512_f": True}, False),
        ({"avx512_bf16": True}, True),
        ({"amx_bf16": True}, True),
    ],
    ids=str,
)
def test_a_processor_has_bf16_when_it_says_so(
    able: dict[str, bool], expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(hardware.BF16, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: able)
    assert hardware.has_bf16() is expected


def test_a_graphics_card_that_imitates_bf16_does_not_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(hardware.BF16, raising=False)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    for real in (True, False):
        monkeypatch.setattr(
            torch.cuda,
            "is_bf16_supported",
            lambda including_emulation, real=real: real or including_emulation,
        )
        assert hardware.has_bf16() is real


@pytest.mark.parametrize("processor", [False, True])
def test_the_environment_overrides_what_the_processor_says_of_bf16(
    processor: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": processor})
    for answer, expected in {"0": False, "1": True, "": processor}.items():
        monkeypatch.setenv(hardware.BF16, answer)
        assert hardware.has_bf16() is expected


def test_another_answer_about_bf16_than_0_or_1_is_refused(
    model: Path, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(hardware.BF16, "yes")
    with pytest.raises(ConfigError, match="variable GEOSEG_BF16: must be 0 or 1; got 'yes'"):
        geoseg.predict(large, model, tmp_path / "map")


@pytest.mark.slow
def test_worker_processes_inherit_the_answer_about_bf16(monkeypatch: pytest.MonkeyPatch) -> None:
    other = not hardware.has_bf16()
    monkeypatch.setenv(hardware.BF16, str(int(other)))
    ((_, found),) = spread(bf16_there, [0], WorkerOptions(workers=1), label="asking")
    assert found is other


def bf16_there(_: int) -> bool:
    return hardware.has_bf16()


def test_the_footprint_counts_what_every_layer_puts_out() -> None:
    """4 channels of every pixel and 8 of every fourth: 4 + 8 / 4 = 6 numbers of 4 bytes."""
    network = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(4, 8, 2, stride=2))
    found = memory_cost.measure(network, 3)
    assert found.bytes == 24
    assert found.seconds > 0


def test_a_network_of_one_class_is_mapped_by_every_path() -> None:
    scheme = TWO_CLASSES.model_copy(update={"classes": TWO_CLASSES.classes[:1]})
    spec = spec_for(B3, stride=4, halo=16, scheme=scheme)
    pixels, _ = textures(1, 64, 96)
    for confidence in ("probability", "margin", "entropy"):
        settings = InferenceSettings(confidence=confidence, probabilities=True)
        found = NetworkPredictor(Pooling(3, 1), spec, settings)(
            pixels, np.ones((64, 96), bool), Window(0, 0, 64, 96)
        )
        assert (found[0] == 0).all()
        assert (found[1:] == 100).all()


def test_a_model_directory_runs_on_the_engine_of_its_recipe(tmp_path: Path) -> None:
    folder = save_fcn(tmp_path, spec_for(B3))
    pixels, _ = textures(3, 64, 96)
    direct = NetworkPredictor(*load_network(folder), InferenceSettings(engine=BF16))
    loaded = SavedModel.open([folder], InferenceSettings(engine=BF16)).load()
    assert isinstance(loaded, NetworkPredictor)
    assert np.array_equal(mapped(loaded, pixels), mapped(direct, pixels))
    assert "bf16" in loaded.fingerprint
