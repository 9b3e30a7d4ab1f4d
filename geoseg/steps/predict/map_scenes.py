"""Map all scenes of a plan: regions of one after the other, on threads, processes or a cluster."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

from geoseg import files
from geoseg.errors import PartialError, RetryError
from geoseg.job import spread
from geoseg.layout import CLASS_FILE, FAILED, RECORD
from geoseg.maps.map_files import PAM
from geoseg.maps.map_job import MapJob, needed_bytes
from geoseg.mosaic import join_maps
from geoseg.remote import upload
from geoseg.steps.predict.engine_choice import Choice
from geoseg.steps.predict.kept_choice import SharedChoice, choice_of, shared_choice
from geoseg.steps.predict.map_region import RegionTask, map_region
from geoseg.steps.predict.plan import Plan
from geoseg.steps.predict.scene_job import SceneJob, open_scene
from geoseg.steps.predict.scene_regions import about_how_many, regions_of
from geoseg.steps.predict.window_memory import WindowMemoryError
from geoseg.steps.predict.workers import Workers, workers_of

logger = logging.getLogger(__name__)
ATTEMPTS = 3


def make_maps(plan: Plan) -> list[Path]:
    """Map all scenes of a plan, join and upload the maps where asked for; skip finished ones.

    Returns:
        The map directories; one where the maps were joined.

    Raises:
        PartialError: some regions failed three times; the others are kept.
        RetryError: the disk is full, or a directory was removed; finished regions are kept.
    """
    options = plan.method.options
    _map_scenes(plan)
    folders = [scene.folder for scene in plan.scenes]
    if plan.mosaic:
        join_maps(
            plan.mosaic, plan.out,
            workers=options, region=options.region, overwrite=options.overwrite,
        )  # fmt: skip
        folders = [plan.out]
    if plan.address:
        _upload(plan, folders)
    return folders


def explain_first(plan: Plan) -> str:
    """Explain the engine choice for the first scene of a plan."""
    with open_scene(plan.scenes[0]) as job:
        if job.run.done:
            return Choice.model_validate(job.run.done.counts["choice"]).explain()
        return choice_of(job, shared_choice(plan), workers_of(plan.method)).explain()


def _map_scenes(plan: Plan) -> None:
    """Map region after region; the files of a scene are written while the next one is mapped."""
    workers, shared = workers_of(plan.method), shared_choice(plan)
    if plan.method.options.overwrite:
        shared.forget()
    maps: dict[Path, tuple[MapJob[RegionTask], ExitStack]] = {}
    finishing: list[Future[None]] = []
    files.remove(plan.out / FAILED)  # of an earlier call
    # One thread finishes maps: GDAL compresses each COG on all cores. The pool is left before the
    # runs are, so locks are released when all maps are finished.
    with ExitStack() as runs, ThreadPoolExecutor(max_workers=1) as finisher:

        def finish_if_complete(folder: Path) -> None:
            if folder in maps and maps[folder][0].complete:
                finishing.append(finisher.submit(_finish, *maps.pop(folder)))

        def regions() -> Iterator[RegionTask]:
            # Taken as workers become free, so a scene is opened when the one before is nearly done:
            # ten thousand scenes hold neither locks nor file handles from the start.
            for scene in plan.scenes:
                held = runs.enter_context(ExitStack())
                job = held.enter_context(open_scene(scene))
                if job.run.done:
                    held.close()
                    continue
                found = _map_job(job, shared, workers)
                maps[job.run.work] = found, held
                yield from found.todo
                finish_if_complete(job.run.work)  # all regions may have been done before

        done = spread(
            map_region, regions(), workers.options, label="mapping", total=about_how_many(plan),
            threads=workers.slots, readers=workers.readers, attempts=ATTEMPTS,
        )  # fmt: skip
        try:
            for task, (digest, facts) in done:
                maps[task.folder][0].commit(task, digest, facts)
                finish_if_complete(task.folder)
        except PartialError as error:
            failures = [{"region": name, "reason": reason} for name, reason in error.failures]
            files.write_json(plan.out / FAILED, failures)
            raise
        except WindowMemoryError as error:
            raise RetryError(str(error)) from error
    for each in finishing:
        each.result()  # raises what went wrong in the thread


def _map_job(job: SceneJob, shared: SharedChoice, workers: Workers) -> MapJob[RegionTask]:
    scene, run = job.scene, job.run
    run.require_space(needed_bytes(scene.source.geobox))
    choice = choice_of(job, shared, workers)
    return MapJob(
        run, scene.source.geobox, scene.method.scheme, regions_of(job, choice, workers.slots),
        scene.method.options.probabilities, {"choice": choice.model_dump(mode="json")},
    )  # fmt: skip


def _finish(job: MapJob[RegionTask], held: ExitStack) -> None:
    with held:
        job.finish()


def _upload(plan: Plan, folders: Sequence[Path]) -> None:
    """Upload finished maps, each with its record last: a map with a record is complete."""
    for folder in folders:
        names = (*plan.method.rasters, PAM, CLASS_FILE, RECORD)
        below = folder.relative_to(plan.out).as_posix()
        address = plan.address if below == "." else f"{plan.address}/{below}"
        for each in upload([folder / name for name in names], address):
            logger.info("uploaded %s", each)
