"""ONNX files of other programs, mapped as the Deepness plugin maps them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import rasterio
from foreign_networks import BIAS, SAID, WEIGHTS, network
from numpy.typing import NDArray
from small_scene import NORTH_UP, MakeRaster

import geoseg
from geoseg.errors import GridError, ModelError
from geoseg.models.exchange.onnx_file import read_file
from geoseg.models.saved_model import spec_of

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")


def logits(pixels: NDArray[np.uint8], outputs: int = 3) -> NDArray[np.float64]:
    """What the network says of (3, height, width), by hand: / 255, mean, std, one product."""
    scaled = (pixels / 255 - np.array([0.4, 0.5, 0.6])[:, None, None]) / np.array([0.2, 0.25, 0.5])[
        :, None, None
    ]
    return np.einsum("kb,bhw->khw", WEIGHTS[:outputs], scaled) + BIAS[:outputs, None, None]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
    """3 bands of 8 bit, 150 x 201 px of 0.5 m."""
    rng = np.random.default_rng(5)
    pixels = rng.integers(0, 256, (3, 150, 201), dtype=np.uint8)
    return make_raster(tmp_path_factory.mktemp("scene") / "rgb.tif", pixels)


def pixels_of(path: Path) -> NDArray[np.uint8]:
    with rasterio.open(path) as dataset:
        found: NDArray[np.uint8] = dataset.read()
    return found


def layers_of(folder: Path) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    return pixels_of(folder / "classes.tif")[0], pixels_of(folder / "confidence.tif")[0]


class TestMapping:
    @pytest.mark.parametrize("side", [64, None])
    @pytest.mark.parametrize("last", [("Softmax",), ("Softmax", "Identity"), ("Identity",)])
    def test_a_scene_gets_the_classes_and_the_confidence_worked_out_by_hand(
        self, side: int | None, last: tuple[str, ...], scene: Path, tmp_path: Path
    ) -> None:
        path = network(tmp_path / "x.onnx", side=side, last=last)
        (out,) = geoseg.predict(scene, path, tmp_path / "map")
        wanted = logits(pixels_of(scene))
        share = np.exp(wanted) / np.exp(wanted).sum(axis=0)
        classes, confidence = layers_of(out)
        assert (classes == wanted.argmax(axis=0)).mean() > 0.9999
        assert np.abs(confidence - 100 * share.max(axis=0)).max() < 0.51
        assert set(np.unique(classes)) == {0, 1, 2}
        with rasterio.open(out / "classes.tif") as dataset:
            assert dataset.shape == (150, 201)

    def test_one_output_is_class_1_from_the_threshold_on(self, scene: Path, tmp_path: Path) -> None:
        said = SAID | {"class_names": {"0": "dry", "1": "wet"}, "seg_thresh": 0.8}
        path = network(tmp_path / "x.onnx", said, outputs=1, last=("Sigmoid",))
        (out,) = geoseg.predict(scene, path, tmp_path / "map")
        probability = 1 / (1 + np.exp(-logits(pixels_of(scene), 1)[0]))
        assert (layers_of(out)[0] == (probability >= 0.8)).mean() > 0.9999
        assert spec_of(path).scheme.names == ("dry", "wet")

    @pytest.mark.parametrize("outputs", [1, 2])
    def test_a_sigmoid_for_every_class_is_a_share_and_one_without_it_is_refused(
        self, outputs: int, tmp_path: Path
    ) -> None:
        path = network(tmp_path / "x.onnx", outputs=outputs, last=("Identity",))
        if outputs == 1:
            with pytest.raises(ModelError, match=r"not a probability; got Conv.*wanted a Sigmoid"):
                read_file(path)
        else:
            assert read_file(path).output == "logits"
            network(path, outputs=2, last=("Sigmoid",))
            assert read_file(path).output == "probabilities"

    def test_what_the_file_says_is_read_and_what_it_leaves_open_is_filled_in(
        self, tmp_path: Path
    ) -> None:
        """Of 64 px, a quarter overlaps: 8 px on each side are context, 48 are mapped."""
        spec = spec_of(network(tmp_path / "x.onnx"))
        assert (spec.side, spec.window, spec.halo, spec.gsd_m) == (64, 48, 8, 0.5)
        assert (spec.architecture, spec.dtype, spec.bands) == ("onnx", "uint8", ("b1", "b2", "b3"))
        assert spec.mean == pytest.approx((102, 127.5, 153))
        assert spec.std == pytest.approx((51, 63.75, 127.5))
        assert spec.scheme.names == ("_background", "field", "wood")
        assert len({each.color for each in spec.scheme.classes}) == 3
        bare = spec_of(network(tmp_path / "y.onnx", {}, side=None))
        assert (bare.side, bare.window, bare.halo, bare.gsd_m) == (None, 384, 64, None)
        assert (bare.mean, bare.std, bare.stride) == ((0, 0, 0), (255, 255, 255), 32)
        assert bare.scheme.names == ("class_0", "class_1", "class_2")

    @pytest.mark.parametrize(
        ("side", "overlap", "window", "halo"),
        [(512, 15, 384, 64), (256, 15, 192, 32), (224, 15, 160, 32), (100, 0, 96, 2)],
    )
    def test_windows_are_multiples_that_keep_regions_small(
        self, side: int, overlap: int, window: int, halo: int, tmp_path: Path
    ) -> None:
        said = SAID | {"tiles_overlap": overlap}
        spec = spec_of(network(tmp_path / "x.onnx", said, side=side))
        assert (spec.window, spec.halo) == (window, halo)

    def test_a_python_dictionary_names_classes_too(self, tmp_path: Path) -> None:
        path = network(tmp_path / "x.onnx", {})
        model = onnx.load(path)
        model.metadata_props.add(key="names", value="{0: 'a', 1: 'b', 2: 'c'}")
        onnx.save(model, path)
        assert spec_of(path).scheme.names == ("a", "b", "c")

    def test_bands_are_taken_in_order_if_they_are_as_many(
        self, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        path = network(tmp_path / "x.onnx")
        pixels = np.full((2, 64, 96), 9, np.uint8)
        two = make_raster(tmp_path / "two.tif", pixels)
        with pytest.raises(ModelError, match="other bands than the model"):
            geoseg.predict(two, path, tmp_path / "map")
        wide = make_raster(tmp_path / "wide.tif", pixels.astype(np.uint16)[[0, 0, 1]])
        with pytest.raises(ModelError, match="another range than those of the training"):
            geoseg.predict(wide, path, tmp_path / "map")

    def test_the_pixel_size_is_checked_and_where_it_is_not_known_asked_for(
        self, scene: Path, tmp_path: Path, make_raster: MakeRaster
    ) -> None:
        path = network(tmp_path / "x.onnx")
        coarse = make_raster(
            tmp_path / "coarse.tif", np.full((3, 64, 96), 9, np.uint8),
            transform=NORTH_UP @ NORTH_UP.scale(4),
        )  # fmt: skip
        with pytest.raises(ModelError, match="another pixel size than the model"):
            geoseg.predict(coarse, path, tmp_path / "map")
        silent = network(tmp_path / "y.onnx", SAID | {"resolution": 50})
        network(silent, {key: value for key, value in SAID.items() if key != "resolution"})
        for gsd in (None, "model"):
            options = geoseg.PredictOptions(gsd=gsd)
            with pytest.raises(ModelError, match="does not state its pixel size"):
                geoseg.predict(scene, silent, tmp_path / "map", options=options)
        options = geoseg.PredictOptions(gsd="scene")
        (out,) = geoseg.predict(scene, silent, tmp_path / "map", options=options)
        assert (out / "classes.tif").exists()

    def test_a_window_that_is_larger_than_the_network_takes_is_refused(
        self, scene: Path, tmp_path: Path
    ) -> None:
        path = network(tmp_path / "x.onnx")
        for options in ({"window": 64}, {"halo": 16}):
            with pytest.raises(GridError, match="larger than the network takes"):
                geoseg.predict(
                    scene, path, tmp_path / "map", options=geoseg.PredictOptions(**options)
                )
