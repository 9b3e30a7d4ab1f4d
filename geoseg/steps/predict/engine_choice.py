"""The engine choice of a job: what was considered, what was chosen, and from what."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from geoseg.models.run.inference_settings import Engine
from geoseg.models.saved_model import SavedModel
from geoseg.raster import RasterSource

DEFAULT_WINDOW = 1024
"""In pixels, on CPUs: with larger windows the halo costs less, but memory grows faster."""


class Trial(BaseModel):
    """An engine that was considered.

    Attributes:
        engine: the engine.
        mpx_s: million pixels per second and thread; None if it was not tried.
        agreement: share of pixels that get the same class as with torch in float32.
        note: why it was chosen or not.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine
    mpx_s: float | None = None
    agreement: float | None = None
    note: str


class Choice(BaseModel):
    """The engine and the window that a job uses from its first region to its last, on all workers.

    Attributes:
        engine: the engine; None where the predictor is not one of geoseg's networks.
        window: side of a window in pixels.
        trials: the engines that were considered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine | None
    window: int
    trials: tuple[Trial, ...] = ()

    def explain(self) -> str:
        """The choice, and a line for each engine that was considered."""
        lines = [f"engine {self.engine}, window {self.window} px"]
        for each in self.trials:
            rate = f"{each.mpx_s:6.2f} Mpx/s per thread" if each.mpx_s else ""
            same = "" if each.agreement is None else f"{100 * each.agreement:8.3f} % as fp32"
            lines.append(f"  {each.engine!s:24} {rate:24} {same:18} {each.note}")
        return "\n".join(lines)


@dataclass(frozen=True)
class ChoiceTask:
    """What a choice is made from; it is pickled for a worker of a cluster.

    Attributes:
        source: the scene, with the model's bands.
        scenes: number of scenes of the call, taken to be as large as this one.
        model: the model.
        engine: the engine asked for, or "auto".
        precision: the precision asked for, or "auto".
        window: side of a window in pixels, if one was asked for.
        halo: pixels of context around a window.
        slots: how many regions a process computes at once.
        processes: how many processes share the work.
    """

    source: RasterSource
    scenes: int
    model: SavedModel
    engine: Literal["auto", "torch", "onnx", "openvino"]
    precision: Literal["auto", "fp32", "bf16"]
    window: int | None
    halo: int
    slots: int
    processes: int
