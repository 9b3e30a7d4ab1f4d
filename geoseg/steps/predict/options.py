"""Options of `predict`."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from geoseg.job.pool import WorkerOptions
from geoseg.job.run_directory import RunOptions
from geoseg.options import ReadOptions


class PredictOptions(ReadOptions, WorkerOptions, RunOptions):
    """Options of `predict`."""

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
