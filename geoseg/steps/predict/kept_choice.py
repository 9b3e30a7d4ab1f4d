"""The engine choice of a job, kept in files so that all regions and later runs use the same one."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from geoseg import files
from geoseg.job import spread, step_key
from geoseg.layout import CHOICE, SHARED_CHOICE
from geoseg.models.saved_model import SavedModel
from geoseg.steps.predict.engine_choice import DEFAULT_WINDOW, Choice, ChoiceTask
from geoseg.steps.predict.plan import Plan, PlannedScene
from geoseg.steps.predict.predictor_cache import release
from geoseg.steps.predict.scene_job import SceneJob
from geoseg.steps.predict.workers import Workers


@dataclass(frozen=True)
class SharedChoice:
    """The choice that all scenes of a call share: engines are tried on the first of them only.

    Attributes:
        path: the file that keeps it while the call, or what resumes it, goes on.
        key: hash of model and options; a choice with another key is ignored.
        scenes: number of scenes of the call; one scene has nobody to share with.
    """

    path: Path
    key: str
    scenes: int

    def read(self) -> Choice | None:
        """The choice of earlier scenes, or None."""
        if self.scenes == 1 or not self.path.exists():
            return None
        found = json.loads(self.path.read_text(encoding="utf-8"))
        return Choice.model_validate(found["choice"]) if found["key"] == self.key else None

    def write(self, choice: Choice) -> None:
        """Keep the choice for the scenes to come."""
        if self.scenes > 1:
            found = {"key": self.key, "choice": choice.model_dump(mode="json")}
            files.write_json(self.path, found)

    def forget(self) -> None:
        """Let engines be tried anew."""
        files.remove(self.path)


def shared_choice(plan: Plan) -> SharedChoice:
    """The choice that the scenes of a plan share."""
    key = step_key("choice", [], plan.method.settings)
    return SharedChoice(plan.out / SHARED_CHOICE, key, len(plan.scenes))


def choice_of(job: SceneJob, shared: SharedChoice, workers: Workers) -> Choice:
    """The engine and the window of a scene.

    In this order: those this job began with, those of the previous map, those of other scenes of
    the call, or the outcome of trials. Another engine would change bytes, so whatever was begun is
    finished with the choice it began with.

    Raises:
        ConfigError: no engine can do what was asked for.
        RetryError: not even the smallest window fits the memory.
    """
    own = job.run.work / CHOICE
    if own.exists():
        return Choice.model_validate_json(own.read_bytes())
    choice = job.previous.choice if job.previous else shared.read()
    if choice is None:
        choice = _choose(job.scene, shared.scenes, workers)
        shared.write(choice)
    files.write_bytes(own, choice.model_dump_json().encode())
    return choice


def _choose(scene: PlannedScene, scenes: int, workers: Workers) -> Choice:
    """Try engines where the work will be done."""
    method, model = scene.method, scene.method.model
    options = method.options
    if not isinstance(model, SavedModel):
        return Choice(engine=None, window=options.window or _default_window(model.stride))
    if not model.is_network:
        spec = model.specs[0]
        window = options.window or spec.window or _default_window(spec.stride)
        return Choice(engine=None, window=window)
    from geoseg.steps.predict.choose_engine import choose

    task = ChoiceTask(
        scene.source, scenes, model, options.engine, options.precision,
        options.window, method.halo, workers.slots, workers.processes,
    )  # fmt: skip
    if options.cluster:  # the workers' processors decide, not this machine's
        ((_, choice),) = spread(choose, [task], options, label="choosing an engine", total=1)
        return choice
    choice = choose(task)
    if options.workers:
        release()  # the worker processes load their own; this one would hold memory for nothing
    return choice


def _default_window(stride: int) -> int:
    """The stride times a power of two: regions are made of whole windows and of whole blocks."""
    return stride << max(0, (DEFAULT_WINDOW // stride).bit_length() - 1)
