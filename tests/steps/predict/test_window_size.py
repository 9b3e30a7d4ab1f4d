"""The size of windows: a multiple of the predictor's stride."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from small_scene import MakeRaster
from thresholds import Threshold, classes_of, random_pixels

import geoseg
from geoseg.errors import GridError


@pytest.fixture
def threshold(tmp_path: Path) -> Threshold:
    (tmp_path / "notes").mkdir()
    return Threshold(tmp_path / "notes")


@pytest.fixture
def scene(tmp_path: Path, make_raster: MakeRaster) -> Path:
    return make_raster(tmp_path / "scene.tif", random_pixels(), nodata=0)


def test_a_predictor_whose_stride_divides_no_power_of_two_gets_windows_of_its_own(
    scene: Path, threshold: Threshold, tmp_path: Path
) -> None:
    odd = replace(threshold, stride=12, halo=24)
    (folder,) = geoseg.predict(scene, odd, tmp_path / "map")
    assert np.array_equal(classes_of(folder), random_pixels()[0] > 1000)
    with pytest.raises(GridError, match="multiple of 12"):
        geoseg.predict(scene, odd, tmp_path / "no", options=geoseg.PredictOptions(window=256))
