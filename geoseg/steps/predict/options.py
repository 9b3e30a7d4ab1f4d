"""Options of `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from geoseg.job.pool import WorkerOptions
from geoseg.job.run_directory import RunOptions
from geoseg.options import ReadOptions


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
    """Side in pixels of the windows that the model maps, a multiple of its stride; by default as
    large as memory allows."""

    halo: int | None = Field(None, ge=0)
    """Pixels of context around a window; by default the model's own."""

    region: int | None = Field(None, ge=512)
    """Side in pixels of a unit of work, a multiple of 512 and of the window; by default the
    smallest."""

    gsd: Literal["model", "scene"] | None = None
    """If pixel sizes differ: resample the scene to the model's, or map it as it is."""

    aoi: Path | None = None
    """Polygons of the area to map; pixels outside are not computed."""

    engine: Literal["auto", "torch", "onnx", "openvino"] = "auto"
    """Runs the network; for long jobs auto tries the installed engines on one window."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """Number format of the computation; auto uses bf16 if the processor computes in it and the
    classes stay the same."""

    tta: Literal["none", "flips", "turns"] = "none"
    """Test-time augmentation: average each window with its 3 mirror images, or over all 8 turns and
    mirror images."""

    passes: int = Field(0, ge=0)
    """Average this many passes with the network's dropout left on; 0 for one pass without."""

    confidence: Literal["probability", "margin", "entropy"] = "probability"
    """What confidence.tif holds, in percent: the probability of the likeliest class, its lead over
    the second, or how far the entropy is below its maximum."""

    probabilities: bool = False
    """Also write probabilities.tif: the percent of each class, one band each."""

    blend: bool = False
    """Average windows where they overlap, weighted by the distance to their edges; takes longer."""

    grid: str | None = None
    """Join the maps of all scenes on one grid: EPSG:3035, EPSG:3035@10 (with a pixel size), or a
    raster whose grid is used."""
