"""The engine and the window of a job, chosen by a short trial when it starts."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import psutil
import torch

from geoseg import grid
from geoseg.errors import ConfigError, GeosegError, RetryError
from geoseg.models import dropout
from geoseg.models.abilities import has_bf16
from geoseg.models.engines import installed
from geoseg.models.footprint import Footprint, measure
from geoseg.models.predictor import Layers, Predictor
from geoseg.models.recipe import Engine
from geoseg.models.saved import SavedModel
from geoseg.models.store import load_network
from geoseg.raster import Block
from geoseg.steps.predict.choice import Choice, ChoiceTask, Trial

CPU_WINDOW, GPU_WINDOW, SMALLEST_WINDOW = 1024, 2048, 256
MEMORY_SHARE = 0.5
"""Of the memory that is free."""
TRIAL_WINDOW = 512
SETUP_S = {"torch": 1.0, "onnx": 3.0, "openvino": 3.0}
COMPILE_S = 60.0
"""About what it takes to make an engine ready; a trial has to be worth it."""
PAYS = 3
"""A trial may take 1/PAYS of the time that is left with the best engine so far."""
LEAD = 1.15
"""An engine has to be so much faster than the best before it, so that noise does not choose."""
AGREEMENT = 0.998
"""Share of pixels that must get the same class as with torch in float32."""
LOOKS = 16
SHORT_S = 15.0
SHORT = "chosen: the job is too short for trials"
ONLY = "chosen: nothing else does what was asked for"
HELD = 0.5
"""Share of what all layers put out that is held at once, at most."""


def choose(task: ChoiceTask) -> Choice:
    """Choose the engine and the window.

    Engines are tried on one window of the scene, the likeliest first, as long as a trial is worth
    its time; one whose classes differ from torch's in float32 on more than 0.2 % of the window is
    not taken.

    Raises:
        ConfigError: no engine can do what was asked for.
        ModelError: dropout is to be left on in a network that has none.
        RetryError: not even the smallest window fits the memory.
    """
    with _one_thread():
        return _choose(task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """As regions are mapped; what the caller does next may have all cores again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _choose(task: ChoiceTask) -> Choice:
    engines = _candidates(task)
    network, spec = load_network(task.model.folders[0])
    if task.model.recipe.passes:
        dropout.names(network)
    footprint = measure(network, len(spec.bands))
    window = task.window or _window(task, footprint)
    if len(engines) == 1:
        return Choice(
            engine=engines[0], window=window, trials=(Trial(engine=engines[0], note=ONLY),)
        )
    if _pixels(task, window) * footprint.seconds / _slots(task) < SHORT_S:
        engines.sort(key=lambda engine: engine.precision != "fp32")
        return Choice(
            engine=engines[0], window=window, trials=(Trial(engine=engines[0], note=SHORT),)
        )
    block = _typical(task, _trial_side(task, window))
    while True:
        try:
            return _compete(task, engines, window, block)
        except (torch.OutOfMemoryError, MemoryError) as error:
            if task.window or window <= SMALLEST_WINDOW:
                raise RetryError(
                    "a window does not fit the memory", got=f"{window} px",
                    fix="free some memory, or name a smaller --window",
                ) from error  # fmt: skip
            window //= 2
            block = _typical(task, _trial_side(task, window))


def _candidates(task: ChoiceTask) -> list[Engine]:
    """What may run the network, the likeliest to be fast first, after what others are held to."""
    gpu = torch.cuda.is_available()
    recipe = task.model.recipe
    possible = [
        Engine(),
        *([] if gpu else [Engine(name="openvino", precision="bf16")]),
        Engine(precision="bf16"),
        *([] if gpu else [Engine(name="openvino"), Engine(name="onnx")]),
    ]
    if task.engine == "auto":
        possible.append(Engine(precision="bf16" if has_bf16() else "fp32", compiled=True))
    found = [
        each
        for each in possible
        if task.engine in ("auto", each.name)
        and task.precision in ("auto", each.precision)
        and (installed(each) or task.engine != "auto")
        and (each.precision == "fp32" or has_bf16() or task.precision == "bf16")
        and not (recipe.passes and each != Engine(precision=each.precision))
    ]
    if not found:
        raise ConfigError(
            "no engine does this here",
            got=f"--engine {task.engine} --precision {task.precision}"
            + (f" --passes {recipe.passes}" if recipe.passes else ""),
            wanted="onnx computes in fp32 only, --passes runs on torch only, a GPU has torch only",
        )
    return found


def _window(task: ChoiceTask, footprint: Footprint) -> int:
    """The largest window that fits: few pixels of context, as much as caches and memory allow."""
    if torch.cuda.is_available():
        return GPU_WINDOW
    each = footprint.bytes * HELD * len(task.model.folders)
    free = psutil.virtual_memory().available * MEMORY_SHARE / _slots(task)
    window = CPU_WINDOW
    while window > SMALLEST_WINDOW and each * (window + 2 * task.halo) ** 2 > free:
        window //= 2
    return window


def _trial_side(task: ChoiceTask, window: int) -> int:
    """What engines are tried on: on a CPU, whose rates hardly depend on it, a smaller window."""
    if torch.cuda.is_available() or TRIAL_WINDOW % task.model.specs[0].stride:
        return window
    return min(window, TRIAL_WINDOW)


def _slots(task: ChoiceTask) -> int:
    return task.slots * task.processes


def _pixels(task: ChoiceTask, window: int) -> int:
    """What the network has to see in all windows, each with its context."""
    count = len(list(grid.split(grid.whole(task.source.geobox.shape), window)))
    height, width = task.source.geobox.shape
    return min(count * (window + 2 * task.halo) ** 2, (height + window) * (width + window))


def _typical(task: ChoiceTask, window: int) -> Block:
    """Of some windows over the scene, none cut short, the one with the most valid pixels."""
    shape = tuple(task.source.geobox.shape)
    stride = task.model.specs[0].stride
    tiles = list(grid.tiles(shape, window, task.halo, multiple_of=stride))
    tiles = [tile for tile in tiles if tile.core.shape == tiles[0].core.shape]
    best: Block | None = None
    for tile in tiles[len(tiles) // 2 :: max(1, len(tiles) // LOOKS)] + tiles[:1]:
        block = task.source.read(tile.read)
        if best is None or block.valid.sum() > best.valid.sum():
            best = block
        if best.valid.all():
            break
    assert best is not None, "a scene has a window"
    return best


def _compete(task: ChoiceTask, engines: list[Engine], window: int, block: Block) -> Choice:
    pixels = _pixels(task, window)
    trials: list[Trial] = []
    best: Trial | None = None
    truth = None if engines[0] == Engine() else _try(task, Engine(), block, None)[1]
    for engine in engines:
        cost = COMPILE_S if engine.compiled else SETUP_S[engine.name]
        if best is not None and best.mpx_s is not None:
            left = pixels / 1e6 / best.mpx_s / _slots(task)
            if PAYS * (cost + 2 * block.valid.size / 1e6 / best.mpx_s) > left:
                trials.append(Trial(engine=engine, note="not tried: the job is too short"))
                continue
        trial, layers = _try(task, engine, block, truth)
        truth = truth if engine != Engine() else layers
        trials.append(trial)
        if trial.mpx_s is None or (trial.agreement is not None and trial.agreement < AGREEMENT):
            continue
        if best is None or best.mpx_s is None or trial.mpx_s > LEAD * best.mpx_s:
            best = trial
    if best is None:
        raise ConfigError("no engine can run this model", got=trials[0].note)
    noted = [
        each.model_copy(update={"note": "chosen"}) if each is best else each for each in trials
    ]
    return Choice(engine=best.engine, window=window, trials=tuple(noted))


def _try(
    task: ChoiceTask, engine: Engine, block: Block, truth: Layers | None
) -> tuple[Trial, Layers | None]:
    try:
        recipe = task.model.recipe.model_copy(update={"engine": engine})
        predictor: Predictor = SavedModel(task.model.folders, task.model.specs, recipe).load()
        core = grid.whole(block.valid.shape)
        layers = predictor(block.pixels, block.valid, core)
        start = time.perf_counter()
        predictor(block.pixels, block.valid, core)
        seconds = time.perf_counter() - start
    except GeosegError as error:
        return Trial(engine=engine, note=f"cannot: {error}"), None
    agreement = None if truth is None else _agreement(layers, truth, block)
    note = "too many other classes" if agreement is not None and agreement < AGREEMENT else "slower"
    rate = block.valid.size / 1e6 / seconds
    return Trial(engine=engine, mpx_s=rate, agreement=agreement, note=note), layers


def _agreement(layers: Layers, truth: Layers, block: Block) -> float:
    return float(np.mean((layers[0] == truth[0])[block.valid])) if block.valid.any() else 1.0
