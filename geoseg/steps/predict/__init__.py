"""Map scenes with a model."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.steps.predict.options import PredictOptions

if TYPE_CHECKING:
    from geoseg.models.run.predictor import Predictor
    from geoseg.raster import Scene

__all__ = ["PredictOptions", "explain", "predict"]


def predict(
    scenes: Scene | Sequence[Scene],
    model: str | Path | Predictor | Sequence[str | Path],
    out: str | Path,
    *,
    options: PredictOptions | None = None,
) -> list[Path]:
    """Map scenes with a model.

    Each pixel is mapped once, in one window and with the context that the model needs, so the map
    does not depend on workers, regions or interruptions. A run that was interrupted resumes when
    the same call is made again.

    Args:
        scenes: one scene or several; each of several gets a folder named after it.
        model: a model directory or an ONNX file; several, whose probabilities are averaged; or a
            predictor.
        out: the map directory to write. For an s3 address the map is made below the folder
            geoseg-s3 and uploaded when it is finished.
        options: windows, workers, reading.

    Returns:
        The map directories, each with classes.tif (class ids, 255 where there is no data),
        confidence.tif (percent), classes.yaml and run.json.

    Raises:
        ConfigError: options exclude each other, or do not apply to this model.
        InputError: a scene cannot be read, or the model was not made for it.
        OutputError: the map directory cannot be written, or another run holds it.
        PartialError: some regions failed three times; the others are kept.
        RetryError: the disk is full, or returned other bytes than were written; finished regions
            are kept.

    Example:
        >>> import geoseg
        >>> (folder,) = geoseg.predict("scene.tif", "model", "map")
        >>> sorted(path.name for path in folder.glob("*.tif"))
        ['classes.tif', 'confidence.tif']
    """
    from geoseg.steps.predict.map_scenes import make_maps
    from geoseg.steps.predict.plan import plan_maps

    return make_maps(plan_maps(scenes, model, out, options or PredictOptions()))


def explain(
    scenes: Scene | Sequence[Scene],
    model: str | Path | Predictor | Sequence[str | Path],
    out: str | Path,
    *,
    options: PredictOptions | None = None,
) -> str:
    """Explain the engine choice: which engine and window `predict` uses for the first scene.

    The choice is kept: `predict` with the same arguments uses it.

    Args:
        scenes: as for `predict`.
        model: as for `predict`.
        out: as for `predict`.
        options: as for `predict`.

    Returns:
        The engine and the window, and a line for each engine that was considered.

    Raises:
        ConfigError: options exclude each other, or do not apply to this model.
        InputError: a scene cannot be read, or the model was not made for it.
        OutputError: the map directory cannot be written, or another run holds it.
    """
    from geoseg.steps.predict.map_scenes import explain_first
    from geoseg.steps.predict.plan import plan_maps

    return explain_first(plan_maps(scenes, model, out, options or PredictOptions()))
