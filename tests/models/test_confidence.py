"""Measures of confidence and layers of class probabilities, by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from networks import save_fcn, spec_for
from rasterio.enums import ColorInterp
from recipe_networks import B3, FP32, NAMES, SHAPE, WHOLE, fcn, save, scheme_of, softmax
from small_scene import SmallScene

import geoseg
from geoseg.errors import ModelError
from geoseg.models.run.decide import layers
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.raster import FileSource


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
