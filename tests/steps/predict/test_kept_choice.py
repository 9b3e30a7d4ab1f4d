"""The engine choice is recorded, explained and kept."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from choosing import Choosing
from engine_networks import BF16, FP32, TORCH_ONLY, needs
from small_scene import SmallScene

import geoseg
from geoseg.errors import RetryError
from geoseg.files import sha256
from geoseg.steps.predict import choose_engine as choose_module
from geoseg.steps.predict import explain
from geoseg.steps.predict import map_scenes as scenes_module
from geoseg.steps.predict.engine_choice import Choice, ChoiceTask
from geoseg.steps.predict.map_region import RegionTask


class TestChoice(Choosing):
    @pytest.mark.slow
    def test_the_choice_is_kept_when_a_run_goes_on(
        self,
        model: Path,
        large: Path,
        tmp_path: Path,
        hurried: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        options = geoseg.PredictOptions(window=256)
        monkeypatch.setattr(scenes_module, "map_region", full_disk)
        with pytest.raises(RetryError):
            geoseg.predict(large, model, tmp_path / "map", options=options)
        monkeypatch.undo()
        (path,) = tmp_path.glob("map/.work-*/choice.json")
        assert Choice.model_validate_json(path.read_bytes()).engine == FP32
        path.write_text(Choice(engine=BF16, window=256).model_dump_json(), encoding="utf-8")
        monkeypatch.setattr(choose_module, "choose", lambda task: pytest.fail("chosen again"))
        (folder,) = geoseg.predict(large, model, tmp_path / "map", options=options)
        monkeypatch.undo()
        bf16 = options.model_copy(update={"engine": "torch", "precision": "bf16"})
        (asked,) = geoseg.predict(large, model, tmp_path / "asked", options=bf16)
        assert sha256(folder / "confidence.tif") == sha256(asked / "confidence.tif")
        record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
        assert record["counts"]["choice"]["engine"] == BF16.model_dump()

    def test_the_scenes_of_a_call_agree_on_one_engine_also_when_it_goes_on_later(
        self, model: Path, scene: SmallScene, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        scenes = [scene.path, Path(shutil.copy(scene.path, tmp_path / "other.tif"))]
        asked: list[int] = []

        def chosen(task: ChoiceTask) -> Choice:
            asked.append(task.scenes)
            return Choice(engine=BF16 if len(asked) == 1 else FP32, window=256)

        def engine_of(folder: Path) -> str:
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            return str(record["counts"]["choice"]["engine"]["precision"])

        monkeypatch.setattr(choose_module, "choose", chosen)
        options = geoseg.PredictOptions(window=256)
        folders = geoseg.predict(scenes, model, tmp_path / "maps", options=options)
        assert [engine_of(each) for each in folders] == ["bf16", "bf16"]
        shutil.rmtree(folders[1])
        geoseg.predict(scenes, model, tmp_path / "maps", options=options)
        assert engine_of(folders[1]) == "bf16"
        assert asked == [2]
        again = options.model_copy(update={"overwrite": True})
        geoseg.predict(scenes, model, tmp_path / "maps", options=again)
        assert [engine_of(each) for each in folders] == ["fp32", "fp32"]
        assert asked == [2, 2]

    def test_what_is_explained_is_what_is_used(
        self,
        model: Path,
        large: Path,
        tmp_path: Path,
        hurried: None,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        options = geoseg.PredictOptions(window=256)
        text = explain(large, model, tmp_path / "map", options=options)
        assert text.splitlines()[0] == "engine torch fp32, window 256 px"
        assert "too short for trials" in text
        assert not (tmp_path / "map" / "classes.tif").exists()
        monkeypatch.setattr(choose_module, "choose", lambda task: pytest.fail("chosen again"))
        (folder,) = geoseg.predict(large, model, tmp_path / "map", options=options)
        assert explain(large, model, tmp_path / "map", options=options) == text
        assert not list(folder.glob(".work-*"))

    def test_explain_says_that_an_engine_was_asked_for(
        self, model: Path, large: Path, tmp_path: Path
    ) -> None:
        text = explain(large, model, tmp_path / "map", options=TORCH_ONLY)
        assert text.splitlines()[0] == "engine torch fp32, window 256 px"
        assert "nothing else does what was asked for" in text

    @pytest.mark.slow
    @needs("openvino")
    def test_worker_processes_use_the_engine_of_the_job(
        self, model: Path, large: Path, tmp_path: Path
    ) -> None:
        sums = set()
        for count in (0, 2):
            options = geoseg.PredictOptions(
                engine="openvino", precision="fp32", window=256, workers=count
            )
            (folder,) = geoseg.predict(large, model, tmp_path / f"{count}", options=options)
            sums.add((sha256(folder / "classes.tif"), sha256(folder / "confidence.tif")))
            record = json.loads((folder / "run.json").read_text(encoding="utf-8"))
            assert record["counts"]["choice"]["engine"]["name"] == "openvino"
        assert len(sums) == 1


def full_disk(task: RegionTask) -> None:
    raise RetryError("the disk is full", where=task.name)
