"""Models as single files: what other programs read there, and what geoseg reads of theirs."""

from __future__ import annotations

import json
import shutil
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from networks import TWO_CLASSES, save_fcn, spec_for
from numpy.typing import NDArray
from small_scene import SmallScene

import geoseg
from geoseg import grid
from geoseg.cli import _main
from geoseg.errors import ConfigError, ModelError
from geoseg.models.exchange import onnx_export
from geoseg.models.exchange.onnx_file import read_file
from geoseg.models.exchange.onnx_predictor import FilePredictor
from geoseg.models.networks.build import build, halo_of, stride_of, window_of
from geoseg.models.run.engines.onnx_runtime import graph
from geoseg.models.run.inference_settings import Engine, InferenceSettings
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.saved.model_files import load_network, save_model
from geoseg.models.saved.spec import ModelSpec
from geoseg.models.saved_model import SavedModel, spec_of
from geoseg.steps.info import info
from geoseg.steps.models import ExportOptions, export_model, show_model
from geoseg.steps.predict.engine_choice import Choice

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
B3 = ("b1", "b2", "b3")
ONNX = InferenceSettings(engine=Engine(name="onnx"))
SIDE = 192
"""A tile that leaves a core of 64 px when a network wants 64 px of context."""


def save(folder: Path, architecture: Any, *, bands: tuple[str, ...] = B3) -> Path:
    """A model directory whose network has seen nothing but noise, but its batch norms work."""
    torch.manual_seed(1)
    backbone = {"fcn": "", "dpt": "tu-vit_tiny_patch16_224"}.get(architecture, "resnet18")
    network = build(architecture, backbone, len(bands), 2)
    with torch.no_grad():
        for _ in range(2):
            network(torch.randn(2, len(bands), 64, 96 if architecture != "dpt" else 64))
    spec = spec_for(bands, stride=stride_of(network), halo=halo_of(network)).model_copy(
        update={
            "architecture": architecture, "backbone": backbone, "temperature": 1.7,
            "window": window_of(architecture, 64), "licence": "CC-BY-4.0",
            "metrics": {"miou": 0.5}, "std": (400.0, 0.0, 250.0),
        }
    )  # fmt: skip
    save_model(folder, network, spec)
    return folder


def scaled_pixels(spec: ModelSpec, *shape: int) -> NDArray[np.float32]:
    """(bands, height, width) of what a scene may hold: noise, and brighter noise in a quarter."""
    rng = np.random.default_rng(3)
    mean, std = (np.array(each, np.float32)[:, None, None] for each in (spec.mean, spec.std))
    noise = rng.normal(0, 1, (len(spec.bands), *shape)).astype(np.float32)
    noise[:, : shape[0] // 2, : shape[1] // 2] += 3
    return (mean + noise * np.maximum(std, 1)).clip(0).astype(np.float32)


def torch_says(folder: Path, pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Probabilities of a model directory, worked out here: scale, network, temperature, softmax."""
    network, spec = load_network(folder)
    std = np.array([each or 1 for each in spec.std], np.float32)[:, None, None]
    scaled = (pixels - np.array(spec.mean, np.float32)[:, None, None]) / std
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(scaled)[None]) / spec.temperature
        return logits.softmax(dim=1).numpy()


def run(data: Path | bytes, images: NDArray[Any]) -> NDArray[np.float32]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    found: NDArray[np.float32] = session.run(None, {session.get_inputs()[0].name: images})[0]
    return found


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_fcn(tmp_path_factory.mktemp("models") / "model", spec_for(B3))


@pytest.fixture(scope="module")
def exported(model: Path) -> Path:
    return export_model(model, model.with_name("exported.onnx"), options=ExportOptions(tile=64))


ARCHITECTURES = [
    "fcn",
    pytest.param("unet", marks=pytest.mark.slow),
    pytest.param("segformer", marks=pytest.mark.slow),
    pytest.param("deeplabv3+", marks=pytest.mark.slow),
]


class TestExport:
    @pytest.mark.parametrize("architecture", ARCHITECTURES)
    def test_a_file_gives_what_torch_gives_and_the_spec_comes_back_whole(
        self, architecture: str, tmp_path: Path
    ) -> None:
        folder = save(tmp_path / "model", architecture)
        _, spec = load_network(folder)
        path = export_model(folder, options=ExportOptions(tile=SIDE))
        assert path == tmp_path / "model.onnx"
        pixels = scaled_pixels(spec, SIDE, SIDE)
        found, wanted = run(path, pixels[None] / 255), torch_says(folder, pixels)
        assert np.abs(found - wanted).max() < 1e-4
        assert wanted.std() > 1e-3, "the network does not say the same everywhere"
        file = read_file(path)
        assert file.spec.model_copy(update={"weights_sha256": spec.weights_sha256}) == spec
        assert file.spec.weights_sha256 != spec.weights_sha256
        pixels, valid = scaled_pixels(spec, 160, 224), np.ones((160, 224), bool)
        valid[:40, :70] = False
        one = NetworkPredictor(*load_network(folder)).probabilities(pixels, valid)
        other = FilePredictor(path, file.spec, ONNX).probabilities(pixels, valid)
        assert float((one - other).abs().max()) < 1e-4

    @pytest.mark.slow
    @pytest.mark.parametrize(
        "architecture", [pytest.param("dpt", marks=pytest.mark.long), "pspnet"]
    )
    def test_a_network_that_cannot_be_written_for_any_size_is_written_for_one(
        self, architecture: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        folder = save(tmp_path / "model", architecture)
        path = export_model(folder, options=ExportOptions(tile=SIDE))
        spec = spec_of(path)
        assert (spec.side, spec.window, spec.halo) == (192, 64, 64)
        pixels = scaled_pixels(spec, SIDE, SIDE)
        assert np.abs(run(path, pixels[None] / 255) - torch_says(folder, pixels)).max() < 1e-4
        found = FilePredictor(path, spec, ONNX)(
            pixels[:, :100, :130], np.ones((100, 130), bool), grid.whole((100, 130))
        )
        assert found.shape == (2, 100, 130)
        assert capsys.readouterr().out == ""
        assert str(Path(geoseg.__file__).parent).encode() not in path.read_bytes()
        with pytest.raises(ConfigError, match="one size only"):
            export_model(folder, options=ExportOptions(tile=SIDE, dynamic=True))

    @pytest.mark.slow
    def test_a_dynamic_file_takes_several_images_that_are_no_squares(
        self, model: Path, tmp_path: Path
    ) -> None:
        path = export_model(model, tmp_path / "x.onnx", options=ExportOptions(dynamic=True))
        pixels = scaled_pixels(spec_of(path), 96, 130)
        found = run(path, np.stack([pixels, pixels[:, ::-1]]) / 255)
        assert found.shape == (2, 2, 96, 130)
        assert np.abs(found[:1] - torch_says(model, pixels)).max() < 1e-4

    def test_onnx_runtime_1_17_can_read_it(self, exported: Path) -> None:
        """Version 1.17 reads what ONNX 1.15 wrote: IR 9 and opset 20, by ONNX's own table."""
        proto = onnx.load(exported)
        table = {row[0]: row[1:3] for row in onnx.helper.VERSION_TABLE}
        assert table["1.15.0"] == (9, 20)
        assert proto.ir_version <= 9
        assert [(each.domain, each.version <= 20) for each in proto.opset_import] == [("", True)]
        onnx.checker.check_model(proto)

    def test_a_network_that_differs_is_refused_and_nothing_is_written(
        self, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        honest = onnx_export.probabilities
        monkeypatch.setattr(onnx_export, "probabilities", lambda *given: honest(*given) + 2e-4)
        monkeypatch.setattr(onnx_export, "_of_one_size", graph)
        with pytest.raises(
            ModelError, match=r"other probabilities than torch; got 0\.0002 at most"
        ):
            export_model(model, tmp_path / "x.onnx", options=ExportOptions(tile=64))
        assert not list(tmp_path.iterdir())

    def test_what_has_no_network_is_refused(
        self, model: Path, exported: Path, tmp_path: Path
    ) -> None:
        rule = {
            "architecture": "threshold", "bands": ["green", "nir"], "dtype": "uint16", "gsd_m": 10,
            "threshold": {"index": "ndwi", "bands": ["green", "nir"], "at": 0.1},
            "scheme": TWO_CLASSES.model_dump(mode="json"),
        }  # fmt: skip
        (tmp_path / "rule").mkdir()
        (tmp_path / "rule" / "spec.json").write_text(json.dumps(rule), encoding="utf-8")
        with pytest.raises(ModelError, match="no torch network to export; got threshold"):
            export_model(tmp_path / "rule")
        with pytest.raises(ModelError, match="got an ONNX file"):
            export_model(exported, tmp_path / "y.onnx")
        for fold in ("fold-1", "fold-2"):
            shutil.copytree(model, tmp_path / "folds" / fold)
        with pytest.raises(ModelError, match=r"holds several models.*got 2.*fold-1"):
            export_model(tmp_path / "folds")

    @pytest.mark.parametrize(
        ("name", "options", "said"),
        [
            ("x.pt", ExportOptions(), "wanted .onnx"),
            ("x.onnx", ExportOptions(tile=100), "a multiple of 32 above 128"),
            ("x.onnx", ExportOptions(tile=128), "a multiple of 32 above 128"),
        ],
    )
    def test_a_name_or_a_tile_that_does_not_suit_is_refused(
        self, name: str, options: ExportOptions, said: str, tmp_path: Path
    ) -> None:
        folder = save_fcn(tmp_path / "model", spec_for(B3, stride=32, halo=64))
        with pytest.raises(ConfigError, match=said):
            export_model(folder, tmp_path / name, options=options)


class Deepness:
    """Reads and runs a file as the documentation and the model classes of Deepness say.

    Metadata are JSON texts. Pixels are divided by 255, then standardized; of the output, what is
    below the threshold becomes 0, and the largest decides.
    """

    def __init__(self, path: Path) -> None:
        self.session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
        (self.input,), (self.output,) = self.session.get_inputs(), self.session.get_outputs()
        texts = self.session.get_modelmeta().custom_metadata_map
        self.keys = {key: json.loads(text) for key, text in texts.items() if key != "geoseg"}

    def classes(self, pixels: NDArray[Any]) -> NDArray[np.int64]:
        """(height, width) of (height, width, bands)."""
        mean = np.array(self.keys["standardization_mean"], np.float32)
        std = np.array(self.keys["standardization_std"], np.float32)
        images = (np.float32(pixels[None] * 1.0 / 255.0) - mean) / std
        (answer,) = self.session.run(None, {self.input.name: images.transpose(0, 3, 1, 2)})
        answer[answer < self.keys["seg_thresh"]] = 0
        return np.argmax(answer, axis=1)[0]


def test_deepness_reads_what_it_needs_and_maps_the_same_classes(
    model: Path, exported: Path
) -> None:
    reader = Deepness(exported)
    assert reader.keys == {
        "model_type": "Segmentor",
        "class_names": {"0": "land", "1": "building"},
        "resolution": 50.0,
        "tiles_size": 64,
        "tile_size": 64,
        "tiles_overlap": 19,  # 2 x 6 px of 64
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
    }
    assert reader.input.shape == [1, 3, 64, 64]
    assert reader.output.shape == [1, 2, 64, 64]
    pixels = scaled_pixels(spec_of(exported), 64, 64).astype(np.uint16)
    wanted = torch_says(model, pixels.astype(np.float32))[0].argmax(axis=0)
    assert 0.01 < wanted.mean() < 0.99
    assert (reader.classes(pixels.transpose(1, 2, 0)) == wanted).mean() > 0.999


def test_geodeep_reads_what_it_needs(exported: Path) -> None:
    """It takes numbers as bare texts, and the tile from the last side of the input."""
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    texts = session.get_modelmeta().custom_metadata_map
    assert float(texts["resolution"]) == 50
    assert float(texts["tiles_overlap"]) == 19
    assert (float(texts["seg_thresh"]), int(texts["seg_small_segment"])) == (0, 0)
    assert json.loads(texts["class_names"])["1"] == "building"
    assert json.loads(texts["model_type"]) == "Segmentor"
    assert session.get_inputs()[0].shape[-1] == 64


class TestOurFiles:
    def test_a_scene_is_exported_and_mapped_from_the_command_line_as_the_directory_maps_it(
        self,
        scene: SmallScene,
        model: Path,
        tmp_path: Path,
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr("geoseg.steps.predict.choose_engine.SHORT_S", 3600.0)  # no trials
        file = tmp_path / "model.onnx"
        assert _main(["models", "export", str(model), str(file), "--tile", "64"]) == 0
        assert capsys.readouterr().out.splitlines() == [str(file)]
        for given, out in ((model, "one"), (file, "other")):
            command = ["predict", str(scene.path), "--model", str(given), "-o", str(tmp_path / out)]
            assert _main(command) == 0
        maps = [layers_of(tmp_path / out) for out in ("one", "other")]
        assert (maps[0][0] == maps[1][0]).mean() > 0.9999
        assert np.abs(maps[0][1].astype(int) - maps[1][1]).max() <= 1
        record = json.loads((tmp_path / "other" / "run.json").read_text(encoding="utf-8"))
        assert record["counts"]["choice"]["engine"]["name"] == "onnx"
        assert str(file) in {each["path"] for each in record["inputs"]}

    def test_it_is_shown_and_looked_at_like_a_directory(self, model: Path, exported: Path) -> None:
        one, other = show_model(model), show_model(exported)
        assert one.pop("weights_sha256") != other.pop("weights_sha256")
        assert one == other
        (entry,) = info(exported)
        assert (entry["kind"], entry["band_names"], entry["problems"]) == ("model", [*B3], [])

    def test_an_unchanged_run_is_skipped_and_a_changed_file_is_mapped_anew(
        self, scene: SmallScene, model: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        file = export_model(model, tmp_path / "x.onnx", options=ExportOptions(tile=64))
        caplog.set_level("INFO")
        for said in (False, True):
            caplog.clear()
            geoseg.predict(scene.path, file, tmp_path / "map")
            assert ("unchanged, skipped" in caplog.text) is said
        export_model(model, file, options=ExportOptions(tile=96))
        caplog.clear()
        geoseg.predict(scene.path, file, tmp_path / "map")
        assert "unchanged, skipped" not in caplog.text

    def test_a_file_that_changes_while_it_is_used_is_noticed(
        self, model: Path, exported: Path, tmp_path: Path
    ) -> None:
        file = Path(shutil.copy(exported, tmp_path / "x.onnx"))
        saved = SavedModel.open([file], ONNX)
        export_model(model, file, options=ExportOptions(tile=96))
        with pytest.raises(ModelError, match="has changed since the run began"):
            saved.load()

    @pytest.mark.skipif(find_spec("openvino") is None, reason="openvino is not installed")
    def test_openvino_maps_it_too(self, exported: Path, model: Path) -> None:
        spec = spec_of(exported)
        pixels = scaled_pixels(spec, 96, 160)
        settings = InferenceSettings(engine=Engine(name="openvino"))
        found = FilePredictor(exported, spec, settings).probabilities(
            pixels, np.ones((96, 160), bool)
        )
        assert np.abs(found.numpy() - torch_says(model, pixels)[0]).max() < 1e-4

    def test_it_is_averaged_with_a_directory(
        self, scene: SmallScene, model: Path, exported: Path, tmp_path: Path
    ) -> None:
        """Both say the same, so their mean does."""
        options = geoseg.PredictOptions(engine="onnx")
        (both,) = geoseg.predict(scene.path, [model, exported], tmp_path / "two", options=options)
        (alone,) = geoseg.predict(scene.path, exported, tmp_path / "one", options=options)
        assert (layers_of(both)[0] == layers_of(alone)[0]).mean() > 0.9999

    @pytest.mark.slow
    def test_it_gives_the_same_bytes_from_worker_processes(
        self, scene: SmallScene, exported: Path, tmp_path: Path
    ) -> None:
        maps = []
        for workers in (0, 2):
            options = geoseg.PredictOptions(engine="onnx", workers=workers, tta="flips", window=64)
            (out,) = geoseg.predict(scene.path, exported, tmp_path / f"{workers}", options=options)
            maps.append((out / "classes.tif").read_bytes() + (out / "confidence.tif").read_bytes())
        assert maps[0] == maps[1]

    @pytest.mark.parametrize("option", [{"engine": "torch"}, {"passes": 3}])
    def test_what_only_torch_does_is_refused(
        self, option: dict[str, Any], scene: SmallScene, exported: Path, tmp_path: Path
    ) -> None:
        options = geoseg.PredictOptions(**option)
        with pytest.raises(ConfigError, match=r"needs? torch, which does not run \.onnx files"):
            geoseg.predict(scene.path, exported, tmp_path / "map", options=options)

    def test_long_jobs_try_the_engines_that_run_it(
        self, exported: Path, scene: SmallScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from geoseg.steps.predict import choose_engine, engine_trials

        monkeypatch.setattr(choose_engine, "SHORT_S", 0.0)
        monkeypatch.setattr(engine_trials, "_pays", lambda *given: True)
        (out,) = geoseg.predict(scene.path, exported, tmp_path / "map")
        record = json.loads((out / "run.json").read_text(encoding="utf-8"))
        choice = Choice.model_validate(record["counts"]["choice"])
        assert {each.engine.name for each in choice.trials} <= {"onnx", "openvino"}
        assert choice.trials[0].engine == Engine(name="onnx")
        assert choice.trials[0].mpx_s is not None


def layers_of(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    with (
        rasterio.open(folder / "classes.tif") as one,
        rasterio.open(folder / "confidence.tif") as other,
    ):
        return one.read(1), other.read(1)
