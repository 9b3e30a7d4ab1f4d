"""`geoseg.predict` in a separate process, for the benchmarks."""

import json
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.child import call

FP32 = {"engine": "torch", "precision": "fp32"}
BF16 = {"engine": "torch", "precision": "bf16"}


@dataclass(frozen=True)
class Mapped:
    """A finished map.

    Attributes:
        seconds: wall time of the call, without imports.
        all_seconds: wall time of the whole process.
        peak_mb: peak resident memory in MB.
        engine: the engine that run.json records.
        window: side of a window in pixels.
    """

    seconds: float
    all_seconds: float
    peak_mb: float
    engine: dict[str, Any]
    window: int

    @property
    def name(self) -> str:
        """Readable name of an engine."""
        compiled = ", compiled" if self.engine["compiled"] else ""
        return f"{self.engine['name']} {self.engine['precision']}{compiled}"


def predict(scene: Path, model: Path, out: Path, **options: Any) -> Mapped:
    """Map a scene from scratch; ``options`` are fields of `PredictOptions`."""
    done = call(
        predict_here, scene=str(scene), model=str(model), out=str(out),
        options={"overwrite": True, **options},
    )  # fmt: skip
    choice = json.loads((out / "run.json").read_text(encoding="utf-8"))["counts"]["choice"]
    return Mapped(done.value, done.seconds, done.peak_mb, choice["engine"], choice["window"])


def predict_here(scene: str, model: str, out: str, options: dict[str, Any]) -> float:
    """Seconds in `geoseg.predict`, without imports."""
    import dask.distributed  # noqa: F401
    import segmentation_models_pytorch  # noqa: F401

    import geoseg
    import geoseg.steps.predict.choose_engine
    import geoseg.steps.predict.map_scenes

    chosen = geoseg.PredictOptions(**options)
    start = time.perf_counter()
    geoseg.predict(scene, model, out, options=chosen)
    return time.perf_counter() - start
