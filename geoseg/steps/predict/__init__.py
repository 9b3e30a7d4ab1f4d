"""Map scenes with a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from geoseg.job.pool import WorkerOptions
from geoseg.job.run_directory import RunOptions
from geoseg.options import ReadOptions

if TYPE_CHECKING:
    from geoseg.models.run.predictor import Predictor
    from geoseg.raster import Scene

__all__ = ["PredictOptions", "explain", "predict"]


class PredictOptions(ReadOptions, WorkerOptions, RunOptions):
    """Options of `predict`.

    Example:
        >>> import geoseg
        >>> options = geoseg.PredictOptions(probabilities=True, confidence="margin")
        >>> (folder,) = geoseg.predict("scene.tif", "model", "margins", options=options)
        >>> (folder / "probabilities.tif").is_file()
        True
    """

    window: int | None = Field(None, ge=32)
    """Side in pixels of what the model maps at once, a multiple of its stride; by default as much
    as memory and caches favour."""

    halo: int | None = Field(None, ge=0)
    """Pixels of context around a window; what the model asks for by default."""

    region: int | None = Field(None, ge=512)
    """Side in pixels of a unit of work: a multiple of 512 and of the window, the smallest by
    default."""

    gsd: Literal["model", "scene"] | None = None
    """When pixel sizes differ: resample the scene to the model's, or take it as it is."""

    aoi: Path | None = None
    """Polygons of the area to map; what lies outside is not computed."""

    engine: Literal["auto", "torch", "onnx", "openvino"] = "auto"
    """What runs the network; auto tries what is installed on the first windows of long jobs."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Of the computation; auto takes bf16 where the processor has it and the classes stay."""

    tta: Literal["none", "flips", "turns"] = "none"
    """Average the window with its 3 mirror images, or all its 8 symmetries."""

    passes: int = Field(0, ge=0)
    """Average so many passes with the network's dropout left on; 0 for one without."""

    confidence: Literal["probability", "margin", "entropy"] = "probability"
    """What confidence.tif holds, in percent: the likeliest class's probability, its lead over the
    second, or how far the entropy is from its maximum."""

    probabilities: bool = False
    """Write probabilities.tif too: the percent of every class, a band each."""

    blend: bool = False
    """Let windows fade into each other where they overlap; costs more, see the benchmarks."""

    grid: str | None = None
    """Bring the maps of all scenes into one: EPSG:3035, EPSG:3035@10 (pixel size), or a raster
    whose grid is taken."""


def predict(
    scenes: Scene | Sequence[Scene],
    model: str | Path | Predictor | Sequence[str | Path],
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
        model: a model directory or an ONNX file, several whose probabilities are averaged, or a
            predictor.
        out: the map directory to write, or an s3 address: then the map is made in the folder
            geoseg-s3 first and put there when it is finished.
        options: windows, workers, reading.

    Returns:
        The map directories, each with classes.tif (class ids, 255 where there is no data),
        confidence.tif (percent), classes.yaml and run.json.

    Raises:
        InputError: a scene cannot be read, or is not what the model was made for.
        PartialError: some regions failed again and again; the others are kept.
        RetryError: the disk was full or returned other bytes; what was finished is kept.

    Example:
        >>> import geoseg
        >>> (folder,) = geoseg.predict("scene.tif", "model", "map")
        >>> sorted(path.name for path in folder.glob("*.tif"))
        ['classes.tif', 'confidence.tif']
    """
    from geoseg.steps.predict.plan import plan
    from geoseg.steps.predict.work import work

    return work(plan(scenes, model, out, options or PredictOptions()))


def explain(
    scenes: Scene | Sequence[Scene],
    model: str | Path | Predictor | Sequence[str | Path],
    out: str | Path,
    *,
    options: PredictOptions | None = None,
) -> str:
    """Say which engine and window `predict` uses for the first scene, and why.

    The choice is kept: `predict` with the same arguments uses it.

    Args:
        scenes: as for `predict`.
        model: as for `predict`.
        out: as for `predict`.
        options: as for `predict`.
    """
    from geoseg.steps.predict.plan import plan
    from geoseg.steps.predict.work import explain_first

    return explain_first(plan(scenes, model, out, options or PredictOptions()))
