"""Windows that do not fit into memory."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from choosing import Choosing
from engine_networks import FP32, TORCH_ONLY, limited
from small_scene import SmallScene

import geoseg
from geoseg.errors import ModelError, PartialError, RetryError
from geoseg.models.run.network_predictors import NetworkPredictor
from geoseg.models.run.predictor import Layers
from geoseg.steps.predict import choose_engine as choose_module
from geoseg.steps.predict import workers
from geoseg.steps.predict.choose_engine import choose
from geoseg.steps.predict.engine_choice import ChoiceTask


class TestChoice(Choosing):
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

    @pytest.mark.slow
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

    @pytest.mark.slow
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
