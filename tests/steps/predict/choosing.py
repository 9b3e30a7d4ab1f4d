"""A scene of six regions, a model for it, and the choice of their engine and window."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from engine_networks import B3
from networks import save_fcn, spec_for
from small_scene import MakeRaster

from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.saved_model import SavedModel
from geoseg.raster import FileSource
from geoseg.steps.predict import choose_engine, engine_trials, predictor_cache
from geoseg.steps.predict.engine_choice import ChoiceTask


class Choosing:
    """Fixtures of every test class about the choice."""

    @pytest.fixture(scope="class")
    @classmethod
    def model(cls, tmp_path_factory: pytest.TempPathFactory) -> Path:
        return save_fcn(tmp_path_factory.mktemp("model"), spec_for(B3))

    @pytest.fixture(scope="class")
    @classmethod
    def large(cls, tmp_path_factory: pytest.TempPathFactory, make_raster: MakeRaster) -> Path:
        """600 x 1100 px: 2 x 3 regions of 512 px."""
        rng = np.random.default_rng(11)
        pixels = rng.integers(200, 2000, (3, 600, 1100), dtype=np.uint16)
        return make_raster(tmp_path_factory.mktemp("large") / "large.tif", pixels, nodata=0)

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
        monkeypatch.setattr(choose_engine, "SHORT_S", 0.0)
        monkeypatch.setattr(engine_trials, "_pays", lambda setup, best, engine: not engine.compiled)

    @pytest.fixture
    def hurried(self) -> Iterator[None]:
        """No trial pays, however busy the processor is."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(choose_engine, "SHORT_S", 3600.0)
            yield
