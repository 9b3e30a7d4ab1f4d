"""What a job runs on: values, written into the job when it starts."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from pydantic import BaseModel, ConfigDict

from geoseg.errors import RetryError
from geoseg.models.run.inference_settings import Engine
from geoseg.models.saved_model import SavedModel
from geoseg.raster import RasterSource

DEFAULT_WINDOW = 1024
"""On CPUs: larger ones pay less for the halo, but take more memory than that is worth."""


class Trial(BaseModel):
    """An engine that was considered.

    Attributes:
        engine: which.
        mpx_s: million pixels per second and thread; None if it was not tried.
        agreement: share of pixels with the same class as torch in float32.
        note: what became of it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine
    mpx_s: float | None = None
    agreement: float | None = None
    note: str


class Choice(BaseModel):
    """What a job uses from its first window to its last, on every worker.

    Attributes:
        engine: what runs the network; None where the predictor is not one of geoseg's networks.
        window: side of what is mapped at once.
        trials: what was considered.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    engine: Engine | None
    window: int
    trials: tuple[Trial, ...] = ()

    def explain(self) -> str:
        """A table of what was considered and why."""
        lines = [f"engine {self.engine}, window {self.window} px"]
        for each in self.trials:
            rate = f"{each.mpx_s:6.2f} Mpx/s per thread" if each.mpx_s else ""
            same = "" if each.agreement is None else f"{100 * each.agreement:8.3f} % as fp32"
            lines.append(f"  {each.engine!s:24} {rate:24} {same:18} {each.note}")
        return "\n".join(lines)


@dataclass(frozen=True)
class ChoiceTask:
    """What a choice is made from; it travels to a worker of a cluster.

    Attributes:
        source: the scene, with the model's bands.
        scenes: how many there are like it.
        model: the model.
        engine: the engine asked for, or "auto".
        precision: the precision asked for, or "auto".
        window: the window asked for; None chooses one.
        halo: pixels of context.
        slots: how many regions of a process compute at once.
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


class WindowMemoryError(MemoryError):
    """A window exhausts the memory even while nothing else computes.

    It is no RetryError, which would end the work before the region has had its other attempts.
    """


def does_not_fit(window: int) -> RetryError:
    """The error for a window that exhausts the memory.

    Args:
        window: its side in pixels.
    """
    return RetryError(
        "a window does not fit the memory",
        got=f"{window} px",
        fix="free some memory, or name a smaller --window",
    )
