"""Engines tried one after the other on the same window."""

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
from geoseg.steps.predict.choice import Trial

SPEED = {
    ("torch", "fp32"): 1.0, ("onnx", "fp32"): 1.0, ("openvino", "fp32"): 1.0,
    ("torch", "bf16"): 2.0, ("openvino", "bf16"): 2.1,
}  # fmt: skip
COMPILED_SPEED = 1.2
"""Rates as measured with a U-Net on one CPU: what a trial may be expected to show."""
SURPRISE = 1.25
"""How much better than that an engine may turn out."""
SETUP_S = {"torch": 0.5, "onnx": 2.0, "openvino": 2.5}
COMPILE_S = 60.0
"""About what it takes to make an engine ready; a trial has to be worth it."""
LEAD = 1.15
"""An engine has to be so much faster than the best before it, so that noise does not choose."""
AGREEMENT = 0.998
"""Share of pixels that must get the same class as with torch in float32."""


@dataclass(frozen=True)
class Stand:
    """What engines are tried with.

    Attributes:
        model: the model.
        block: the pixels.
        slots: how many windows are under way at once in a process.
        pixels: what the job will show the network on each thread.
    """

    model: SavedModel
    block: Block
    slots: int
    pixels: float


def compete(stand: Stand, engines: Sequence[Engine]) -> tuple[list[Trial], SavedModel, Predictor]:
    """Try engines in order, as long as a trial is worth its time.

    Returns:
        What came of each; the model on the engine that was chosen, and that loaded.

    Raises:
        ConfigError: none can run the model.
    """
    done: list[Trial] = []
    best: _Tried | None = None
    reference = stand.model.reference
    truth = None if engines[0] == reference else _try(stand, reference, None).layers
    for engine in engines:
        if best and not _pays(stand, best, engine):
            note = "not tried: it would take longer than it could save"
            done.append(Trial(engine=engine, note=note))
            continue
        tried = _try(stand, engine, truth)
        done.append(tried.trial)
        truth = tried.layers if engine == reference else truth
        if tried.fits and (best is None or tried.rate > LEAD * best.rate):
            best = tried
    if best is None or best.predictor is None:
        raise ConfigError("no engine can run this model", got=done[0].note)
    chosen = best.trial.model_copy(update={"note": "chosen"})
    done[done.index(best.trial)] = chosen
    return done, _on(stand.model, chosen.engine), best.predictor


def prove(stand: Stand, engine: Engine) -> tuple[SavedModel, Predictor]:
    """Map one window with an engine that has no competitor.

    Pixels that the network cannot map are no concern here: the region they lie in reports them.

    Returns:
        The model on that engine, and the predictor that it loaded.

    Raises:
        MemoryError: the window does not fit the memory.
        ModelError: the engine cannot run the network.
    """
    allocator.keep(freed=engine.makes_arrays)
    model, block = _on(stand.model, engine), stand.block
    predictor = model.load(slots=stand.slots)
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


def _pays(stand: Stand, best: _Tried, engine: Engine) -> bool:
    """Whether an engine may save more time than it takes to try it."""
    expected = best.rate * SURPRISE * _speed(engine) / _speed(best.trial.engine)
    setup = COMPILE_S if engine.compiled else SETUP_S[engine.name]
    cost = setup + 2 * stand.block.valid.size / 1e6 / expected
    left = stand.pixels / 1e6 / best.rate
    return left * (1 - best.rate / expected) > cost


def _speed(engine: Engine) -> float:
    return SPEED[engine.name, engine.precision] * (COMPILED_SPEED if engine.compiled else 1)


def _try(stand: Stand, engine: Engine, truth: Layers | None) -> _Tried:
    block, core = stand.block, grid.whole(stand.block.valid.shape)
    allocator.keep(freed=engine.makes_arrays)
    try:
        predictor = _on(stand.model, engine).load(slots=stand.slots)
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
