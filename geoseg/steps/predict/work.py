"""The work of a plan: regions of one scene after the other, on threads, processes or a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from math import ceil, lcm
from pathlib import Path

from geoseg import files
from geoseg.errors import PartialError, RetryError
from geoseg.job import Run, open_run, spread, unrepeatable
from geoseg.job.run_directory import RECORD
from geoseg.maps.open_map import SCHEME
from geoseg.raster import XarraySource
from geoseg.raster.cog import BLOCK
from geoseg.remote import upload
from geoseg.steps.predict.choice import DEFAULT_WINDOW, Choice, WindowMemoryError
from geoseg.steps.predict.engine_choice import choice_of, contents_of, forget
from geoseg.steps.predict.map_files import PAM, rasters
from geoseg.steps.predict.mosaic import LAYERS, map_mosaic, plan_mosaic, target_grid
from geoseg.steps.predict.plan import Plan
from geoseg.steps.predict.region import RegionTask, map_region
from geoseg.steps.predict.scene_job import CONTENTS, Job, needed_bytes
from geoseg.steps.predict.tasks import tasks_of
from geoseg.steps.predict.workers import Team, team_of

logger = logging.getLogger(__name__)
FAILED = "failed.json"
ATTEMPTS = 3


def work(plan: Plan) -> list[Path]:
    """Map all scenes of a plan; what is finished already is left alone.

    Returns:
        The map directories.
    """
    if plan.options.overwrite:
        forget(plan)
    _map_scenes(plan)
    folders = list(plan.folders)
    if plan.options.grid:
        _join(plan, plan.options.grid)
        folders = [plan.out]
    if plan.address:
        _upload(plan, folders)
    return folders


def explain_first(plan: Plan) -> str:
    """Which engine and window the first scene is mapped with, and why."""
    team = team_of(plan)
    with _opened(plan, 0) as run:
        if run.done:
            return Choice.model_validate(run.done.counts["choice"]).explain()
        return choice_of(plan, 0, run, team).explain()


def _map_scenes(plan: Plan) -> None:
    """Map region after region, and put a scene's parts together while the next one is mapped."""
    team = team_of(plan)
    jobs: dict[Path, tuple[Job[RegionTask], ExitStack]] = {}
    finishing: list[Future[None]] = []
    files.remove(plan.out / FAILED)
    with ExitStack() as runs, ThreadPoolExecutor(max_workers=1) as finisher:

        def finish_if_complete(folder: Path) -> None:
            if folder in jobs and jobs[folder][0].complete:
                finishing.append(finisher.submit(_finish, *jobs.pop(folder)))

        def tasks() -> Iterator[RegionTask]:
            for number in range(len(plan.sources)):
                held = runs.enter_context(ExitStack())
                run = held.enter_context(_opened(plan, number))
                if run.done:
                    held.close()
                    continue
                job = _job(plan, number, run, team)
                jobs[run.work] = job, held
                yield from job.todo
                finish_if_complete(run.work)

        done = spread(
            map_region, tasks(), team.options, label="mapping", total=_count(plan),
            threads=team.slots, readers=team.readers, attempts=ATTEMPTS,
        )  # fmt: skip
        try:
            for task, (digest, facts) in done:
                jobs[task.folder][0].commit(task, digest, facts)
                finish_if_complete(task.folder)
        except PartialError as error:
            failures = [{"region": name, "reason": reason} for name, reason in error.failures]
            files.write_json(plan.out / FAILED, failures)
            raise
        except WindowMemoryError as error:
            raise RetryError(str(error)) from error
    for each in finishing:
        each.result()


def _finish(job: Job[RegionTask], held: ExitStack) -> None:
    with held:
        job.finish()


def _count(plan: Plan) -> int:
    """About how many regions there are, for the progress bar."""
    side = plan.options.region or lcm(plan.options.window or DEFAULT_WINDOW, BLOCK)
    return sum(
        ceil(source.geobox.shape[0] / side) * ceil(source.geobox.shape[1] / side)
        for source in plan.sources
    )


@contextmanager
def _opened(plan: Plan, number: int) -> Iterator[Run]:
    """The run of a scene."""
    source, options = plan.sources[number], plan.options
    resolved = {**plan.settings, "scene": [band.name for band in source.bands]}
    if not source.paths:
        token = source.token if isinstance(source, XarraySource) else None
        resolved["array"] = token or unrepeatable()
    aoi = [options.aoi] if options.aoi else []
    outputs = (*rasters(probabilities=options.probabilities), PAM, SCHEME, CONTENTS)
    with open_run(
        "predict", plan.folders[number], inputs=[*source.paths, *plan.weights, *aoi],
        options=resolved, outputs=outputs, overwrite=options.overwrite,
    ) as run:  # fmt: skip
        yield run


def _job(plan: Plan, number: int, run: Run, team: Team) -> Job[RegionTask]:
    geobox = plan.sources[number].geobox
    run.require_space(needed_bytes(geobox))
    choice = choice_of(plan, number, run, team)
    tasks = tasks_of(plan, number, choice, team.slots, run.work, contents_of(plan, run))
    how = {"choice": choice.model_dump(mode="json")}
    return Job(run, geobox, plan.scheme, tasks, plan.options.probabilities, how)


def _upload(plan: Plan, folders: list[Path]) -> None:
    """Put finished maps at the address that was asked for, each with its record last."""
    for folder in folders:
        names = (*rasters(probabilities=plan.options.probabilities), PAM, SCHEME, RECORD)
        below = folder.relative_to(plan.out).as_posix()
        address = plan.address if below == "." else f"{plan.address}/{below}"
        for each in upload([folder / name for name in names], address):
            logger.info("put at %s", each)


def _join(plan: Plan, target: str) -> None:
    """One map on one grid from the maps of all scenes."""
    geobox = target_grid(target, [source.geobox for source in plan.sources])
    names = rasters(probabilities=plan.options.probabilities)
    inputs = [folder / name for folder in plan.folders for name in names]
    with open_run(
        "mosaic", plan.out, inputs=inputs, options={"grid": target},
        outputs=(*names, PAM, SCHEME, CONTENTS), overwrite=plan.options.overwrite,
    ) as run:  # fmt: skip
        if run.done:
            return
        run.require_space(needed_bytes(geobox))
        side = plan.options.region or DEFAULT_WINDOW
        layers = (*LAYERS, *[Path(name).stem for name in names[2:] for _ in plan.scheme.classes])
        tasks = plan_mosaic(plan.folders, geobox, side, run.work, layers)
        job = Job(run, geobox, plan.scheme, tasks, plan.options.probabilities, {})
        for task, (digest, facts) in spread(
            map_mosaic, job.todo, plan.options, label="joining", total=len(tasks), attempts=ATTEMPTS
        ):
            job.commit(task, digest, facts)
        job.finish()
