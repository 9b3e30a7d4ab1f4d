"""Engines that run a network: all give torch's classes, and the same bytes whatever the threads."""

from __future__ import annotations

import copy
import ctypes
import gc
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch
from engine_networks import B3, BF16, FP32, ONNX, OPENVINO, OPENVINO_BF16, needs
from networks import TWO_CLASSES, Pooling, save_fcn, spec_for
from segmentation_models_pytorch import Unet
from torch import nn

from geoseg import grid
from geoseg.errors import ConfigError, ModelError
from geoseg.grid import Window
from geoseg.models.input_scaling import scaled
from geoseg.models.run import engines
from geoseg.models.run.engines import torch_eager
from geoseg.models.run.inference_settings import Engine, InferenceSettings
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.run.predictor import Layers
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import ModelSpec
from geoseg.models.saved_model import SavedModel

CPU = torch.device("cpu")
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

    @pytest.mark.slow
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


@pytest.mark.slow
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
