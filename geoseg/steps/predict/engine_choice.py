"""The engine and the window that all regions agree on: chosen once, kept for when a job goes on."""

from __future__ import annotations

import json

from geoseg import files
from geoseg.job import Run, read_record, spread
from geoseg.job.record import step_key
from geoseg.job.run_directory import RECORD
from geoseg.models.saved_model import SavedModel
from geoseg.steps.predict.choice import DEFAULT_WINDOW, Choice, ChoiceTask
from geoseg.steps.predict.plan import Plan
from geoseg.steps.predict.predictor_cache import release
from geoseg.steps.predict.scene_job import earlier
from geoseg.steps.predict.workers import Team

OWN, SHARED = "choice.json", ".choice.json"


def choice_of(plan: Plan, number: int, run: Run, team: Team) -> Choice:
    """What a scene is mapped with: as before, as its map was, as other scenes, or chosen now."""
    own = run.work / OWN
    if own.exists():
        return Choice.model_validate_json(own.read_bytes())
    choice = _earlier(plan, run) or _shared(plan)
    if choice is None:
        choice = _choose(plan, number, team)
        _share(plan, choice)
    files.write_bytes(own, choice.model_dump_json().encode())
    return choice


def forget(plan: Plan) -> None:
    """Let the scenes of a call agree anew."""
    files.remove(plan.out / SHARED)


def contents_of(plan: Plan, run: Run) -> dict[str, str]:
    """What each region of the map that stands there was made from; empty if another job made it."""
    if plan.options.overwrite:
        return {}
    weights = (
        [spec.weights_sha256 for spec in plan.model.specs if spec.weights_sha256]
        if isinstance(plan.model, SavedModel)
        else []
    )
    return earlier(run.folder, read_record(run.folder / RECORD), run.options, weights)


def _earlier(plan: Plan, run: Run) -> Choice | None:
    if not contents_of(plan, run):
        return None
    record = read_record(run.folder / RECORD)
    assert record is not None, "an earlier map has a record"
    return Choice.model_validate(record.counts["choice"])


def _shared(plan: Plan) -> Choice | None:
    """What the scenes before were mapped with, also when that was before a kill."""
    path = plan.out / SHARED
    if len(plan.sources) == 1 or not path.exists():
        return None
    found = json.loads(path.read_text(encoding="utf-8"))
    return Choice.model_validate(found["choice"]) if found["key"] == _key(plan) else None


def _share(plan: Plan, choice: Choice) -> None:
    if len(plan.sources) > 1:
        found = {"key": _key(plan), "choice": choice.model_dump(mode="json")}
        files.write_json(plan.out / SHARED, found)


def _key(plan: Plan) -> str:
    return step_key("choice", [], plan.settings)


def _choose(plan: Plan, number: int, team: Team) -> Choice:
    """Try engines where the work will be done."""
    options, model = plan.options, plan.model
    if not isinstance(model, SavedModel):
        return Choice(engine=None, window=options.window or _default_window(model.stride))
    if not model.is_network:
        spec = model.specs[0]
        window = options.window or spec.window or _default_window(spec.stride)
        return Choice(engine=None, window=window)
    from geoseg.steps.predict.choose import choose

    task = ChoiceTask(
        plan.sources[number], len(plan.sources), model, options.engine, options.precision,
        options.window, plan.halo, team.slots, team.processes,
    )  # fmt: skip
    if options.cluster:
        ((_, choice),) = spread(choose, [task], options, label="choosing an engine", total=1)
        return choice
    choice = choose(task)
    if options.workers:
        release()
    return choice


def _default_window(stride: int) -> int:
    """The stride times a power of two: regions are made of whole windows and of whole blocks."""
    return stride << max(0, (DEFAULT_WINDOW // stride).bit_length() - 1)
