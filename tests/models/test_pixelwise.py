"""Forest, SVM and threshold: saved as plain arrays, the same answer in every window."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import rasterio
from networks import TWO_CLASSES
from pixelwise_specs import WATER, pixelwise
from small_scene import TINY, MakeRaster, SmallScene

import geoseg
from geoseg.chips.chip_arrays import ChipArrays
from geoseg.classes import ClassScheme, LandClass
from geoseg.cli import _main
from geoseg.errors import ChipsError, ConfigError, ModelError
from geoseg.grid import Window
from geoseg.models.pixelwise.classifiers import Forest, IndexThreshold, normalized_difference
from geoseg.models.pixelwise.features import CELL, RADIUS, features_of
from geoseg.models.pixelwise.learn import _rows, _spread, learn
from geoseg.models.pixelwise.pixel_predictor import PixelPredictor
from geoseg.models.saved.model_files import read_arrays, save_arrays
from geoseg.models.saved.spec import ModelSpec, Threshold, read_spec
from geoseg.steps.train import TrainOptions

NAMED = [LandClass(name=name, color="#000000") for name in ("a", "b", "c", "d")]


def spec(features: str, bands: int = 2) -> ModelSpec:
    return ModelSpec.model_validate(
        {
            "architecture": "forest", "bands": [f"b{i}" for i in range(bands)], "dtype": "uint16",
            "mean": [1000] * bands, "std": [200] * bands, "gsd_m": 10, "scheme": TWO_CLASSES,
            "features": features,
        }
    )  # fmt: skip


@pytest.mark.slow
def test_a_forest_of_arrays_gives_the_probabilities_of_scikit_learn() -> None:
    from sklearn.ensemble import RandomForestClassifier

    rng = np.random.default_rng(1)
    features = rng.normal(size=(3000, 6)).astype(np.float32)
    truth = (features[:, 0] * features[:, 1] > 0) + 2 * (features[:, 2] > 0.5)
    theirs = RandomForestClassifier(20, min_samples_leaf=2, random_state=0).fit(features, truth)
    ours = Forest.of(theirs, 5)(features.T)
    np.testing.assert_allclose(ours[:4].T, theirs.predict_proba(features), atol=1e-7)
    assert not ours[4].any()  # a class that was never seen


@pytest.mark.parametrize("classes", [2, 3])
def test_a_calibrated_svm_is_one_linear_layer(classes: int) -> None:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    rng = np.random.default_rng(2)
    features = rng.normal(size=(900, 4)).astype(np.float32)
    truth = np.digitize(features[:, 0] + features[:, 1], [0, 1][: classes - 1])
    svm = LinearSVC(dual=False, random_state=0).fit(features, truth)
    weights, bias = _rows(svm)
    distances = features @ weights.T + bias
    scores = LogisticRegression().fit(distances, truth)
    a, c = _rows(scores)
    scheme = ClassScheme(classes=tuple(NAMED[: classes + 1]))
    made = spec("pixel", 4).model_copy(update={"scheme": scheme})
    found = _spread(a @ weights, a @ bias + c, svm.classes_, made)(features.T).T
    np.testing.assert_allclose(found[:, :classes], scores.predict_proba(distances), atol=1e-5)
    assert not found[:, classes].any()  # a class that was never seen


def test_an_index_is_worked_out_by_hand() -> None:
    first, second = np.float32([0.4, 300, 0]), np.float32([0.2, 700, 0])
    index = normalized_difference(first, second)
    np.testing.assert_allclose(index, [1 / 3, -0.4, 0], atol=1e-6)
    rule = IndexThreshold(Threshold(index="ndwi", bands=("g", "n"), at=0.1, softness=0.1), (0, 1))
    above = rule(np.stack([first, second]))[1]
    np.testing.assert_allclose(above, 1 / (1 + np.exp([-7 / 3, 5, 1])), atol=1e-5)
    low = Threshold(index="ndwi", bands=("g", "n"), at=0.1, above=0, softness=0.1)
    np.testing.assert_allclose(IndexThreshold(low, (0, 1))(np.stack([first, second]))[0], above)


@pytest.mark.parametrize("features", ["pixel", "texture", "superpixel"])
def test_features_of_a_part_are_those_of_the_whole(features: str) -> None:
    rng = np.random.default_rng(3)
    pixels = rng.integers(800, 1200, (2, 3 * CELL, 4 * CELL), dtype=np.uint16)
    valid = rng.random(pixels.shape[1:]) > 0.02
    every = features_of(pixels, valid, spec(features))
    assert len(every) == {"pixel": 2, "texture": 26, "superpixel": 6}[features]
    halo = RADIUS if features == "texture" else 0
    rows, cols = slice(CELL - halo, 2 * CELL + halo), slice(CELL - halo, 3 * CELL + halo)
    part = features_of(pixels[:, rows, cols], valid[rows, cols], spec(features))
    inside = (slice(None), slice(halo, halo + CELL), slice(halo, halo + 2 * CELL))
    np.testing.assert_array_equal(part[inside], every[:, CELL : 2 * CELL, CELL : 3 * CELL])


def test_pixels_without_data_change_nothing_but_themselves() -> None:
    pixels = np.random.default_rng(4).integers(800, 1200, (2, 40, 60), dtype=np.uint16)
    valid = np.ones((40, 60), bool)
    valid[:5] = False
    other = pixels.copy()
    other[:, :5] = 65535
    for features in ("pixel", "texture", "superpixel"):
        np.testing.assert_array_equal(
            features_of(pixels, valid, spec(features)), features_of(other, valid, spec(features))
        )


@pytest.mark.slow
@pytest.mark.parametrize(
    ("architecture", "features"),
    [("forest", "pixel"), ("forest", "texture"), ("svm", "superpixel")],
)
def test_a_bright_building_is_told_from_land_the_same_in_every_window(
    architecture: str, features: str, chips: Path, scene: SmallScene, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr("geoseg.models.pixelwise.learn.TREES", 20)
    options = TrainOptions.model_validate({"architecture": architecture, "features": features})
    model = geoseg.train(chips, tmp_path / "model", options=options)
    assert sorted(path.name for path in model.iterdir() if path.is_file()) == [
        "metrics.csv", "model.safetensors", "run.json", "spec.json",
    ]  # fmt: skip
    found = read_spec(model)
    assert not found.is_network
    assert found.metrics["val_miou"] == pytest.approx(1, abs=0.2)
    maps = []
    for number, settings in enumerate(({}, {"window": CELL, "workers": 1})):
        predicting = geoseg.PredictOptions.model_validate({**settings, "probabilities": True})
        (folder,) = geoseg.predict(scene.path, model, tmp_path / str(number), options=predicting)
        maps.append([(folder / n).read_bytes() for n in ("classes.tif", "probabilities.tif")])
        with rasterio.open(folder / "classes.tif") as dataset:
            assert (dataset.read(1) == scene.classes).mean() > 0.95
    assert maps[0] == maps[1]
    again = geoseg.train(chips, tmp_path / "again", options=options)
    assert read_spec(again).weights_sha256 == found.weights_sha256


def test_the_confidence_of_a_forest_that_learned_noise_is_calibrated(tmp_path: Path) -> None:
    """Pixels of two classes, 200 apart with a spread of 200: the best that can be told is 69 %."""
    rng = np.random.default_rng(4)
    truth = rng.integers(0, 2, (4, 48, 48), dtype=np.uint8)
    images = rng.normal(1000 + 200.0 * truth, 200)[:, None].astype(np.uint16)
    train, val = (
        ChipArrays(images, np.ones(truth.shape, bool), truth, np.asarray(at))
        for at in ([0, 1], [2, 3])
    )
    metrics = learn(train, val, spec("pixel", bands=1), "ndwi", 0, tmp_path)
    found = read_spec(tmp_path)
    assert found.temperature > 1.5
    assert metrics["ece_after"] < 0.05 < metrics["ece_before"]
    assert found.metrics == metrics
    calibrated = PixelPredictor.load(tmp_path, found)
    plain = PixelPredictor.load(tmp_path, found.model_copy(update={"temperature": 1.0}))
    both = [each(images[3], truth[3] < 2, Window(0, 0, 48, 48)) for each in (plain, calibrated)]
    np.testing.assert_array_equal(both[0][0], both[1][0])
    assert both[0][1].mean() > both[1][1].mean() + 5
    assert plain.fingerprint != calibrated.fingerprint


def test_a_damaged_forest_is_refused(chips: Path, scene: SmallScene, tmp_path: Path) -> None:
    model = geoseg.train(chips, tmp_path / "m", options=TrainOptions(architecture="forest"))
    data = bytearray((model / "model.safetensors").read_bytes())
    data[-1] ^= 1
    (model / "model.safetensors").write_bytes(data)
    with pytest.raises(ModelError, match="do not belong to the spec"):
        PixelPredictor.load(model, read_spec(model))
    (entry,) = geoseg.info([model])
    assert [row["code"] for row in entry["problems"]] == ["damaged"]


def test_options_of_engines_are_refused(chips: Path, scene: SmallScene, tmp_path: Path) -> None:
    model = geoseg.train(chips, tmp_path / "m", options=TrainOptions(architecture="svm"))
    for name, value in (("tta", "flips"), ("blend", True), ("engine", "onnx")):
        options = geoseg.PredictOptions.model_validate({name: value})
        with pytest.raises(ConfigError, match=f"--{name}: needs a network; got svm"):
            geoseg.predict(scene.path, model, tmp_path / "map", options=options)


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (
            "--architecture forest --loss ce --epochs 60 --index ndvi --features pixel --seed 3",
            "--index, --loss, --epochs: do not apply; got --architecture forest",
        ),
        (
            "--architecture threshold --features pixel",
            "--features: does not apply; got --architecture threshold",
        ),
        ("--features texture", "--features: does not apply; got --architecture unet"),
        ("--architecture svm --patience 3 --fold all --batch 8", "--patience, --batch: do not"),
    ],
)
def test_options_that_would_do_nothing_are_refused_by_name(
    flags: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert _main(["train", "nowhere", "-o", str(tmp_path / "m"), *flags.split()]) == 2
    assert f"geoseg: ConfigError: {message}" in capsys.readouterr().err
    assert not (tmp_path / "m").exists()


@pytest.fixture
def water(make_raster: MakeRaster, tmp_path: Path) -> tuple[Path, Path]:
    """A scene of green and nir with a lake, and labels of it: 1 is water."""
    truth = np.zeros((96, 128), np.uint8)
    truth[20:60, 30:90] = 1
    pixels = np.where(truth, [[[600]], [[200]]], [[[400]], [[1200]]]).astype(np.uint16)
    pixels = pixels + np.random.default_rng(5).integers(0, 60, pixels.shape, dtype=np.uint16)
    scene = make_raster(tmp_path / "lake.tif", pixels)
    with rasterio.open(scene, "r+") as dataset:
        dataset.descriptions = ("B03", "B08")
    return scene, make_raster(tmp_path / "labels.tif", truth)


def test_otsu_finds_the_threshold_between_water_and_land(
    water: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chips = geoseg.tile(*water, tmp_path / "chips", classes=TWO_CLASSES, options=TINY)
    options = TrainOptions(architecture="threshold", index="ndwi")
    model = geoseg.train(chips, tmp_path / "model", options=options)
    found = read_spec(model).threshold
    assert found is not None
    assert found.bands == ("B03", "B08")
    assert -0.4 < found.at < 0.4  # land has -0.5, water 0.5
    assert found.above == 1
    assert not (model / "model.safetensors").exists()
    (folder,) = geoseg.predict(water[0], model, tmp_path / "map")
    with rasterio.open(folder / "classes.tif") as mapped, rasterio.open(water[1]) as truth:
        assert (mapped.read(1) == truth.read(1)).all()
    assert geoseg.info([model])[0]["problems"] == []
    assert _main(["models", "show", str(model)]) == 0
    assert json.loads(capsys.readouterr().out)["threshold"]["index"] == "ndwi"


def test_a_threshold_is_written_by_hand(water: tuple[Path, Path], tmp_path: Path) -> None:
    by_hand = {
        "architecture": "threshold",
        "bands": ["B03", "B08"],
        "dtype": "uint16",
        "gsd_m": 0.5,
        "threshold": {"index": "ndwi", "bands": ["B03", "B08"], "at": 0.0},
        "scheme": {
            "classes": [{"name": "land", "color": "#f2efe9"}, {"name": "water", "color": "#2b83ba"}]
        },
    }
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "spec.json").write_text(json.dumps(by_hand), encoding="utf-8")
    (folder,) = geoseg.predict(water[0], tmp_path / "model", tmp_path / "map")
    with rasterio.open(folder / "classes.tif") as mapped, rasterio.open(water[1]) as truth:
        assert (mapped.read(1) == truth.read(1)).all()
    with rasterio.open(folder / "confidence.tif") as dataset:
        assert dataset.read(1).min() > 90


def test_what_lies_outside_the_core_does_not_matter_to_a_threshold() -> None:
    rule = IndexThreshold(Threshold(index="ndwi", bands=("g", "n"), at=0.0), (0, 1))
    made = ModelSpec.model_validate(
        {
            "architecture": "threshold", "bands": ["g", "n"], "dtype": "uint8", "gsd_m": 1,
            "scheme": TWO_CLASSES,
            "threshold": {"index": "ndwi", "bands": ["g", "n"], "at": 0.0},
        }
    )  # fmt: skip
    pixels = np.zeros((2, 6, 8), np.uint8)
    pixels[0, :, :4], pixels[1, :, 4:] = 9, 9
    valid = np.ones((6, 8), bool)
    valid[2, 3] = False
    found = PixelPredictor(rule, made)(pixels, valid, Window(1, 2, 4, 5))
    assert found[0].tolist() == [[1, 1, 0, 0, 0]] * 1 + [[1, 0, 0, 0, 0]] + [[1, 1, 0, 0, 0]] * 2
    assert found.shape == (2, 4, 5)


class TestPixelwiseModels:
    def test_one_class_is_not_enough_to_learn_from(self, tmp_path: Path) -> None:
        labels = np.full((1, 32, 32), 255, np.uint8)
        labels[0, :4] = 1
        images = np.ones((1, 2, 32, 32), np.uint8)
        chips = ChipArrays(images, np.ones(labels.shape, bool), labels, np.array([0]))
        with pytest.raises(ChipsError, match="two classes with labelled training pixels"):
            learn(chips, chips, pixelwise("forest", features="pixel"), "ndwi", 0, tmp_path)

    def test_a_threshold_of_three_classes_is_refused(self, tmp_path: Path) -> None:
        three = ClassScheme.model_validate(
            {"classes": [{"name": name, "color": "#000000"} for name in "abc"]}
        )
        with pytest.raises(ModelError, match="a threshold needs two classes"):
            PixelPredictor.load(tmp_path, pixelwise("threshold", threshold=WATER, scheme=three))

    def test_a_threshold_model_without_one_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="must hold its threshold"):
            PixelPredictor.load(tmp_path, pixelwise("threshold"))

    def test_arrays_of_something_else_are_refused(self, tmp_path: Path) -> None:
        spec = save_arrays(tmp_path, {"bark": np.zeros(3)}, pixelwise("forest", features="pixel"))
        with pytest.raises(ModelError, match="the weights do not fit"):
            PixelPredictor.load(tmp_path, spec)

    def test_arrays_that_are_not_finite_are_refused(self, tmp_path: Path) -> None:
        spec = save_arrays(tmp_path, {"bias": np.array([np.inf])}, pixelwise("svm"))
        with pytest.raises(ModelError, match="not finite; got bias"):
            read_arrays(tmp_path, spec)
