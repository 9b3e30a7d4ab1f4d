"""ONNX files of other programs that are broken or unsafe are refused."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_networks import SAID, network, save
from networks import save_fcn, spec_for
from small_scene import MakeRaster

import geoseg
from geoseg.errors import ConfigError, ModelError, UnsafeError
from geoseg.models.exchange import onnx_graph, onnx_metadata
from geoseg.models.exchange.onnx_file import read_file
from geoseg.models.saved_model import spec_of
from geoseg.steps.models import ExportOptions, export_model

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
helper, Kind = onnx.helper, onnx.TensorProto


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """3 bands of 8 bit, 150 x 201 px of 0.5 m."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (3, 150, 201), dtype=np.uint8)
    return make_raster(tmp_path_factory.mktemp("scene") / "rgb.tif", pixels)


class TestHostileFiles:
    @pytest.mark.parametrize(
        ("data", "said"),
        [
            (b"", "0 bytes"),
            (b"no network at all", "is not an ONNX file, or damaged"),
            (pickle.dumps({"weights": [1, 2]}), "is not an ONNX file, or damaged"),
            (b"PK\x03\x04" + bytes(100), "is not an ONNX file, or damaged"),
        ],
    )
    def test_what_is_no_network_is_refused(self, data: bytes, said: str, tmp_path: Path) -> None:
        (tmp_path / "x.onnx").write_bytes(data)
        with pytest.raises(ModelError, match=said):
            read_file(tmp_path / "x.onnx")

    def test_a_file_that_is_not_there_or_too_large_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with pytest.raises(ModelError, match="is not an ONNX file; got 0 bytes"):
            spec_of(tmp_path / "gone.onnx")
        path = network(tmp_path / "x.onnx")
        monkeypatch.setattr(onnx_graph, "MOST_BYTES", 100)
        with pytest.raises(ModelError, match=r"got \d+ bytes; wanted 1 to 100"):
            spec_of(path)

    def test_every_cut_through_a_file_of_ours_is_refused(self, tmp_path: Path) -> None:
        folder = save_fcn(tmp_path / "model", spec_for(("b1", "b2", "b3")))
        whole = export_model(folder, options=ExportOptions(tile=64)).read_bytes()
        for size in np.linspace(1, len(whole) - 1, 25).astype(int):
            (tmp_path / "x.onnx").write_bytes(whole[:size])
            with pytest.raises(ModelError):
                read_file(tmp_path / "x.onnx")

    def test_every_flipped_bit_in_a_file_of_ours_is_noticed(self, tmp_path: Path) -> None:
        """But for those that turn the key "geoseg" into another: then it is another's file."""
        folder = save_fcn(tmp_path / "model", spec_for(("b1", "b2", "b3")))
        whole = export_model(folder, options=ExportOptions(tile=64)).read_bytes()
        for at in np.random.default_rng(1).integers(0, len(whole), 60):
            flipped = bytearray(whole)
            flipped[at] ^= 4
            (tmp_path / "x.onnx").write_bytes(flipped)
            with pytest.raises((ModelError, UnsafeError)):
                read_file(tmp_path / "x.onnx")

    def test_weights_in_another_file_are_not_read(self, tmp_path: Path) -> None:
        path = network(tmp_path / "x.onnx")
        model = onnx.load(path)
        secret = tmp_path / "secret.bin"
        secret.write_bytes(bytes(36))
        tensor = model.graph.initializer[0]
        tensor.ClearField("raw_data")
        tensor.data_location = Kind.EXTERNAL
        tensor.external_data.add(key="location", value=str(secret))
        path.write_bytes(model.SerializeToString())
        with pytest.raises(UnsafeError, match=r"keeps weights in another file.*secret\.bin"):
            read_file(path)

    def test_nor_those_of_a_branch_within_an_operator(self, tmp_path: Path) -> None:
        tensor = onnx.numpy_helper.from_array(np.ones(1, np.float32), "far")
        tensor.ClearField("raw_data")
        tensor.data_location = Kind.EXTERNAL
        tensor.external_data.add(key="location", value="../../far.bin")
        constant = helper.make_node("Constant", [], ["far"], value=tensor)
        branch = helper.make_graph(
            [constant], "branch", [], [helper.make_tensor_value_info("far", Kind.FLOAT, [1])]
        )
        either = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
        with pytest.raises(UnsafeError, match=r"\.\./\.\./far\.bin"):
            read_file(save(tmp_path / "x.onnx", of([either])))

    def test_operators_of_other_domains_are_not_loaded(self, tmp_path: Path) -> None:
        strange = helper.make_node("Shell", ["x"], ["y"], domain="my.company")
        with pytest.raises(UnsafeError, match=r"my\.company\.Shell; wanted operators of"):
            read_file(save(tmp_path / "x.onnx", of([strange])))
        branch = helper.make_graph(
            [strange], "branch", [], [helper.make_tensor_value_info("y", Kind.FLOAT, [1])]
        )
        hidden = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
        with pytest.raises(UnsafeError, match=r"my\.company\.Shell"):
            read_file(save(tmp_path / "x.onnx", of([hidden])))

    @pytest.mark.parametrize(
        ("inputs", "outputs", "said"),
        [
            ([(1, 3, 8, 8)] * 2, [(1, 2, 8, 8)], "got 2 inputs, 1 outputs"),
            ([(1, 3, 64, 64)], [(1, 2, 64, 64)] * 2, "got 1 inputs, 2 outputs"),
            ([(1, 3, 64)], [(1, 2, 64, 64)], "its input is not four dimensions"),
            ([(1, 3, 64, 64)], [(1, 64, 64)], "its output is not four dimensions"),
            ([(8, 3, 64, 64)], [(8, 2, 64, 64)], r"got \(8, 3, 64, 64\)"),
            ([(1, 64, 64, 3)], [(1, 2, 64, 64)], r"got \(1, 64, 64, 3\)"),
            ([(1, 3, 64, 96)], [(1, 2, 64, 96)], r"got \(1, 3, 64, 96\)"),
            ([(1, "b", 64, 64)], [(1, 2, 64, 64)], r"got \(1, any, 64, 64\)"),
            ([(1, 3, 64, 64)], [(1, 300, 64, 64)], "got 300 numbers a pixel"),
        ],
        ids=str,
    )
    def test_what_maps_no_image_to_classes_is_refused(
        self, inputs: list[Any], outputs: list[Any], said: str, tmp_path: Path
    ) -> None:
        takes = [
            helper.make_tensor_value_info(f"x{n}", Kind.FLOAT, each)
            for n, each in enumerate(inputs)
        ]
        gives = [
            helper.make_tensor_value_info(f"y{n}", Kind.FLOAT, each)
            for n, each in enumerate(outputs)
        ]
        body = helper.make_graph([helper.make_node("Relu", ["x0"], ["y0"])], "body", takes, gives)
        with pytest.raises(ModelError, match=said):
            read_file(save(tmp_path / "x.onnx", body))

    @pytest.mark.parametrize(
        ("key", "text", "said"),
        [
            ("model_type", '"Detector"', "does not map classes.*got a Detector"),
            ("class_names", "{", "its class_names cannot be read"),
            ("class_names", "__import__('os').getcwd()", "its class_names cannot be read"),
            ("class_names", "[" * 100_000, "its class_names cannot be read"),
            ("class_names", '{"0": "a", "2": "b"}', "has the ids 0, 2"),
            ("class_names", '{"0": "a", "1": "a"}', "cannot be names of classes"),
            ("class_names", '"' + "x" * onnx_metadata.LONGEST + '"', "1000002 characters"),
            ("resolution", "-3", "resolution -3"),
            ("resolution", "NaN", "resolution"),
            ("resolution", "[]", "its metadata cannot be read"),
            ("tiles_overlap", "100", "tiles_overlap 100"),
            ("tiles_overlap", "99", "its tiles are too small"),
            ("standardization_mean", "[1]", "are not for 3 bands"),
            ("standardization_std", "[0, 1, 1]", "are not for 3 bands"),
            ("geoseg", "{}", "its metadata geoseg cannot be read"),
            ("geoseg", "[" * 100_000, "its metadata geoseg cannot be read"),
        ],
    )  # fmt: skip
    def test_metadata_that_mean_nothing_are_named(
        self, key: str, text: str, said: str, tmp_path: Path
    ) -> None:
        path = network(tmp_path / "x.onnx", {k: v for k, v in SAID.items() if k != key})
        model = onnx.load(path)
        model.metadata_props.add(key=key, value=text)
        path.write_bytes(model.SerializeToString())
        with pytest.raises(ModelError, match=said):
            read_file(path)

    def test_what_the_runtime_refuses_is_one_error_with_the_name_of_the_file(
        self, scene: Path, tmp_path: Path
    ) -> None:
        path = save(tmp_path / "x.onnx", of([helper.make_node("NoSuch", ["x"], ["y"])]))
        with pytest.raises(ModelError, match=r"x\.onnx: ONNX Runtime cannot run this network"):
            geoseg.predict(scene, path, tmp_path / "map")

    def test_a_map_of_another_size_than_the_image_is_no_map(
        self, scene: Path, tmp_path: Path
    ) -> None:
        half = helper.make_node("MaxPool", ["x"], ["y"], kernel_shape=[2, 2], strides=[2, 2])
        path = save(tmp_path / "x.onnx", of([half]))
        with pytest.raises(ModelError, match=r"x\.onnx.*got \(3, 32, 32\); wanted \(3, 64, 64\)"):
            geoseg.predict(scene, path, tmp_path / "map")

    def test_a_network_that_fails_on_an_image_is_one_error(
        self, scene: Path, tmp_path: Path
    ) -> None:
        sizes = onnx.numpy_helper.from_array(np.array([7, 7]), "sizes")
        nodes = [
            helper.make_node("Constant", [], ["sizes"], value=sizes),
            helper.make_node("Reshape", ["x", "sizes"], ["flat"]),
            helper.make_node("Reshape", ["flat", "sizes"], ["y"]),
        ]
        path = save(tmp_path / "x.onnx", of(nodes))
        with pytest.raises(ModelError, match=r"x\.onnx: (the network fails|ONNX Runtime cannot)"):
            geoseg.predict(scene, path, tmp_path / "map")

    def test_without_the_package_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = network(tmp_path / "x.onnx")
        monkeypatch.setattr(onnx_graph, "find_spec", lambda name: None)
        with pytest.raises(ConfigError, match=r"pip install 'geoseg\[onnx\]'"):
            spec_of(path)
        folder = save_fcn(tmp_path / "model", spec_for(("b1", "b2", "b3")))
        with pytest.raises(ConfigError, match="the package onnx is not installed"):
            export_model(folder)


def of(nodes: list[Any]) -> Any:
    """A graph from x to y, which is what it should be from outside."""
    return helper.make_graph(
        nodes, "body",
        [helper.make_tensor_value_info("x", Kind.FLOAT, [1, 3, 64, 64])],
        [helper.make_tensor_value_info("y", Kind.FLOAT, [1, 3, "a", "b"])],
    )  # fmt: skip
