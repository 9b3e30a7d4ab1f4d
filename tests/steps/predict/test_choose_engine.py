"""The engine choice: a trial on the scene that has to pay."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from choosing import Choosing
from engine_networks import BF16, FP32, ONNX, OPENVINO, OPENVINO_BF16, limited
from torch import nn

import geoseg
from geoseg.errors import ConfigError, ModelError
from geoseg.grid import Window
from geoseg.models.run import engines, hardware
from geoseg.models.run.inference_settings import Engine
from geoseg.models.saved_model import SavedModel
from geoseg.raster import FileSource
from geoseg.steps.predict import choose_engine as choose_module
from geoseg.steps.predict import engine_trials, predictor_cache
from geoseg.steps.predict.choose_engine import choose
from geoseg.steps.predict.engine_choice import ChoiceTask, Trial


class TestChoice(Choosing):
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

    @pytest.mark.parametrize("engine", ["onnx", "openvino"])
    def test_dropout_is_left_on_by_torch_only(self, engine: str, model: Path, large: Path) -> None:
        options = geoseg.PredictOptions.model_validate({"engine": engine, "passes": 3})
        with pytest.raises(ConfigError, match=f"no engine does this.*--engine {engine}.*--passes"):
            geoseg.predict(large, model, large.parent / "refused", options=options)

    def test_onnx_does_not_compute_in_bf16(self, task: ChoiceTask) -> None:
        with pytest.raises(ConfigError, match="onnx computes in fp32 only"):
            choose(replace(task, engine="onnx", precision="bf16"))

    def test_another_answer_about_bf16_than_0_or_1_is_refused(
        self, model: Path, large: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv(hardware.BF16, "yes")
        with pytest.raises(ConfigError, match="variable GEOSEG_BF16: must be 0 or 1; got 'yes'"):
            geoseg.predict(large, model, tmp_path / "map")
