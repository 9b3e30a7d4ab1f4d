"""Engines tried one after the other on the same pixels."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np

from geoseg import allocator, grid
from geoseg.errors import ConfigError, GeosegError, ModelError
from geoseg.models.run.inference_settings import Engine
from geoseg.models.run.predictor import Layers, Predictor
from geoseg.models.saved_model import SavedModel
from geoseg.raster import Block
from geoseg.steps.predict.engine_choice import Trial

SPEED = {
    ("torch", "fp32"): 1.0, ("onnx", "fp32"): 1.0, ("openvino", "fp32"): 1.0,
    ("torch", "bf16"): 2.0, ("openvino", "bf16"): 2.1,
}  # fmt: skip
"""Speed relative to torch in float32, as measured with a U-Net on one CPU."""

COMPILED_SPEED = 1.2
SURPRISE = 1.25
"""An engine may turn out this much faster than the table says."""

SETUP_S = {"torch": 0.5, "onnx": 2.0, "openvino": 2.5}
COMPILE_S = 60.0
"""Seconds until an engine is ready; a trial has to save more."""

LEAD = 1.15
"""An engine must be this much faster than the best before it, so that noise does not choose."""

AGREEMENT = 0.998
"""Share of pixels that must get the same class as with torch in float32."""


@dataclass(frozen=True)
class TrialSetup:
    """The model and the pixels that engines are tried with.

    Attributes:
        model: the model.
        block: the pixels.
        slots: how many windows a process computes at once.
        pixels: how many pixels the network sees in the job, context included, on each thread.
    """

    model: SavedModel
    block: Block
    slots: int
    pixels: float


def try_engines(
    setup: TrialSetup, engines: Sequence[Engine]
) -> tuple[list[Trial], SavedModel, Predictor]:
    """Try engines in order, skipping those whose trial would take longer than it could save.

    Returns:
        A trial for each engine; the model with the chosen engine; and the same, loaded.

    Raises:
        ConfigError: none can run the model.
    """
    done: list[Trial] = []
    best: _Tried | None = None
    # Where --engine or --precision leaves the reference out, it still runs once for comparison.
    reference = setup.model.reference
    truth = None if engines[0] == reference else _try(setup, reference, None).layers
    for engine in engines:
        if best and not _pays(setup, best, engine):
            note = "not tried: it would take longer than it could save"
            done.append(Trial(engine=engine, note=note))
            continue
        tried = _try(setup, engine, truth)
        done.append(tried.trial)
        truth = tried.layers if engine == reference else truth
        if tried.fits and (best is None or tried.rate > LEAD * best.rate):
            best = tried
    if best is None or best.predictor is None:
        raise ConfigError("no engine can run this model", got=done[0].note)
    chosen = best.trial.model_copy(update={"note": "chosen"})
    done[done.index(best.trial)] = chosen
    return done, _on(setup.model, chosen.engine), best.predictor


def try_only_engine(setup: TrialSetup, engine: Engine) -> tuple[SavedModel, Predictor]:
    """Map one window with the only engine left, to see whether the window fits the memory.

    Pixels that the network cannot map do not matter here: the region they lie in reports them.

    Returns:
        The model with that engine; and the same, loaded.

    Raises:
        MemoryError: the window does not fit the memory.
        ModelError: the engine cannot run the network.
    """
    allocator.keep(freed=engine.makes_arrays)
    model, block = _on(setup.model, engine), setup.block
    predictor = model.load(slots=setup.slots)
    with suppress(ModelError):
        predictor(block.pixels, block.valid, grid.whole(block.valid.shape))
    return model, predictor


@dataclass(frozen=True)
class _Tried:
    trial: Trial
    layers: Layers | None = None
    predictor: Predictor | None = None

    @property
    def rate(self) -> float:
        return self.trial.mpx_s or 0.0

    @property
    def fits(self) -> bool:
        agreement = self.trial.agreement
        return self.predictor is not None and (agreement is None or agreement >= AGREEMENT)


def _pays(setup: TrialSetup, best: _Tried, engine: Engine) -> bool:
    """Whether an engine may save more time than its trial takes: to get ready, and two windows."""
    expected = best.rate * SURPRISE * _speed(engine) / _speed(best.trial.engine)
    ready_s = COMPILE_S if engine.compiled else SETUP_S[engine.name]
    cost = ready_s + 2 * setup.block.valid.size / 1e6 / expected
    # With the engine, the share 1 - best / expected of the time that is left would be saved.
    left = setup.pixels / 1e6 / best.rate
    return left * (1 - best.rate / expected) > cost


def _speed(engine: Engine) -> float:
    return SPEED[engine.name, engine.precision] * (COMPILED_SPEED if engine.compiled else 1)


def _try(setup: TrialSetup, engine: Engine, truth: Layers | None) -> _Tried:
    block, core = setup.block, grid.whole(setup.block.valid.shape)
    allocator.keep(freed=engine.makes_arrays)
    try:
        predictor = _on(setup.model, engine).load(slots=setup.slots)
        # The first window pays for buffers, kernels and compilation, so the second one is timed.
        layers = predictor(block.pixels, block.valid, core)
        start = time.perf_counter()
        predictor(block.pixels, block.valid, core)
        seconds = time.perf_counter() - start
    except GeosegError as error:
        return _Tried(Trial(engine=engine, note=f"cannot: {error}"))
    agreement = None if truth is None else _agreement(layers, truth, block)
    note = "too many other classes" if agreement is not None and agreement < AGREEMENT else "slower"
    rate = block.valid.size / 1e6 / seconds
    trial = Trial(engine=engine, mpx_s=rate, agreement=agreement, note=note)
    return _Tried(trial, layers, predictor)


def _on(model: SavedModel, engine: Engine) -> SavedModel:
    settings = model.settings.model_copy(update={"engine": engine})
    return SavedModel(model.folders, model.specs, settings)


def _agreement(layers: Layers, truth: Layers, block: Block) -> float:
    return float(np.mean((layers[0] == truth[0])[block.valid])) if block.valid.any() else 1.0
