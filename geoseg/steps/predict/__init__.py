"""Map a scene with a model."""

from __future__ import annotations

from collections.abc import Sequence
from math import lcm
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from geoseg.errors import ConfigError, GridError
from geoseg.job.pool import WorkerOptions
from geoseg.options import ReadOptions

if TYPE_CHECKING:
    from geoseg.models.spec import ModelSpec
    from geoseg.raster import RasterSource, Scene

__all__ = ["PredictOptions", "predict"]


class PredictOptions(ReadOptions, WorkerOptions):
    """Options of `predict`."""

    window: int = Field(1024, ge=32)
    """Side in pixels of what the model maps at once; a multiple of the model's stride."""

    halo: int | None = Field(None, ge=0)
    """Pixels of context around a window; what the model asks for by default."""

    region: int | None = Field(None, ge=512)
    """Side in pixels of a unit of work: a multiple of 512 and of the window, the smallest by
    default."""

    gsd: Literal["model", "scene"] | None = None
    """When pixel sizes differ: resample the scene to the model's, or take it as it is."""


def predict(
    scenes: Scene | Sequence[Scene],
    model: str | Path,
    out: str | Path,
    *,
    options: PredictOptions | None = None,
) -> list[Path]:
    """Map scenes with a model.

    Every pixel belongs to one window and is mapped once, with the context the model needs, so the
    result does not depend on workers, regions or interruptions. A run that was killed goes on when
    the same call is made again.

    Args:
        scenes: one scene, or several; several get a folder each, named after the scene.
        model: a model directory.
        out: the map directory to write.
        options: windows, workers, reading.

    Returns:
        The map directories, each with classes.tif (class ids, 255 where there is no data),
        confidence.tif (percent), classes.yaml and run.json.

    Raises:
        InputError: a scene cannot be read, or is not what the model was made for.
        RetryError: the disk was full or returned other bytes; what was finished is kept.
    """
    from geoseg import raster
    from geoseg.models.spec import read_spec

    options = options or PredictOptions()
    spec = read_spec(Path(model))
    sources = raster.open_scenes(scenes, options)
    ready = [_prepare(source, spec, options) for source in sources]
    folders = _folders(Path(out), ready)
    for source, folder in zip(ready, folders, strict=True):
        _predict_one(source, Path(model), spec, folder, options)
    return folders


def _prepare(source: RasterSource, spec: ModelSpec, options: PredictOptions) -> RasterSource:
    """The scene with the model's bands, on the model's pixel size when that was asked for."""
    from geoseg import grid
    from geoseg.raster import on_grid

    source = spec.choose_bands(source, chosen=bool(options.bands))
    if options.gsd is None:
        spec.check_gsd(source)
    if options.gsd != "model":
        return source
    zoom = spec.gsd_m / grid.gsd_m(source.geobox)
    height, width = (max(1, round(side / zoom)) for side in source.geobox.shape)
    return on_grid(source, source.geobox.zoom_to((height, width)), options.resampling)


def _folders(out: Path, sources: list[RasterSource]) -> list[Path]:
    if len(sources) == 1:
        return [out]
    stems = [Path(source.name).stem for source in sources]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise ConfigError(
            "two scenes have one name, and so would their maps",
            got=", ".join(sorted(twice)),
            fix="predict them into different folders",
        )
    return [out / stem for stem in stems]


def _predict_one(
    source: RasterSource, model: Path, spec: ModelSpec, folder: Path, options: PredictOptions
) -> None:
    from geoseg.job import open_run, spread, unrepeatable
    from geoseg.steps.predict.finish import OUTPUTS, finish
    from geoseg.steps.predict.region import map_region, plan, task_threads

    halo = spec.halo if options.halo is None else options.halo
    window, region = _sizes(spec, options)
    resolved: dict[str, Any] = {
        "spec": spec.model_dump(mode="json"),
        "scene": [band.name for band in source.bands],
        **options.model_dump(mode="json", exclude={"workers", "cluster", "region"}),
        "halo": halo,
    }
    if not source.paths:
        resolved["array"] = unrepeatable()
    inputs = [*source.paths, model / "model.safetensors"]
    with open_run("predict", folder, inputs=inputs, options=resolved, outputs=OUTPUTS) as run:
        if run.done:
            return
        ledger = run.ledger()
        tasks = plan(source, model, window, halo, region, run.work)
        finished = ledger.parts()
        todo = [task for task in tasks if task.name not in finished]
        for task, (digest, facts) in spread(
            map_region, todo, options, label=f"mapping {folder.name}", threads=task_threads()
        ):
            ledger.add(task.name, digest, facts)
            finished[task.name] = facts
        run.counts = finish(folder, tasks, finished, source.geobox, spec.scheme)
        run.finish()


def _sizes(spec: ModelSpec, options: PredictOptions) -> tuple[int, int]:
    """Window and region side; by default regions are small, so that little is lost by a kill."""
    from geoseg.raster.cog import BLOCK

    window = options.window
    if window % spec.stride:
        raise GridError(
            "the window is not a multiple of the model's stride",
            where="--window",
            got=window,
            wanted=f"a multiple of {spec.stride}",
        )
    if options.region:
        if options.region % BLOCK or options.region % window:
            raise GridError(
                "a region must be made of whole windows and of whole blocks of the map",
                where="--region",
                got=options.region,
                wanted=f"a multiple of {window} and {BLOCK}",
            )
        return window, options.region
    return window, lcm(window, BLOCK)
