"""The engine and the window of a job, chosen by short trials when it starts."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from geoseg import allocator, grid
from geoseg.errors import ConfigError
from geoseg.models.networks import dropout
from geoseg.models.networks.build import TORCH_ONLY
from geoseg.models.run.engines import installed
from geoseg.models.run.hardware import has_bf16
from geoseg.models.run.inference_settings import Engine
from geoseg.models.run.memory_cost import MemoryCost, measure
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved_model import is_file
from geoseg.raster import Block
from geoseg.steps.predict.engine_choice import DEFAULT_WINDOW, Choice, ChoiceTask, Trial
from geoseg.steps.predict.engine_trials import TrialSetup, try_engines, try_only_engine
from geoseg.steps.predict.predictor_cache import hold
from geoseg.steps.predict.window_memory import does_not_fit

GPU_WINDOW, SMALLEST_WINDOW = 2048, 256
MEMORY_SHARE = 0.5
"""Share of the free memory that all windows together may take."""

TRIAL_WINDOW = 384
"""Side in pixels of the window that engines are tried on, on a CPU."""

SAMPLED_WINDOWS = 16
"""Windows that are read, at most, to find one with many valid pixels."""

SHORT_S = 15.0
"""Jobs expected to take less are mapped without trials, which would cost seconds."""

SHORT = "chosen: the job is too short for trials"
ONLY = "chosen: nothing else does what was asked for"
HELD = 0.5
"""Share of the outputs of all layers that is in memory at once, at most; measured on a U-Net."""


def choose(task: ChoiceTask) -> Choice:
    """Choose the engine and the window.

    Engines are tried on one window of the scene, those that are ready soonest first, as long as a
    trial may save more time than it takes. An engine that gives more than 0.2 % of the pixels
    another class than torch in float32 is not used. If only one engine is left, it maps one whole
    window, so that a window that does not fit the memory is halved. Short jobs try nothing.

    Raises:
        ConfigError: no engine can do what was asked for.
        ModelError: passes with dropout were asked of a network without dropout, or the only
            engine left cannot run the network.
        RetryError: the window asked for, or even the smallest, does not fit the memory.
    """
    with _one_thread(), allocator.returned():
        return _choose(task)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One thread, as when regions are mapped; afterwards the caller has all cores again."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _choose(task: ChoiceTask) -> Choice:
    engines = _candidates(task)
    footprint = _footprint(task)
    window = task.window or task.model.window or _window(task, footprint)
    if _pixels(task, window) * footprint.seconds / _slots(task) < SHORT_S:
        note = ONLY if len(engines) == 1 else SHORT
        engine = min(engines, key=lambda engine: engine.precision != "fp32")
        return Choice(engine=engine, window=window, trials=(Trial(engine=engine, note=note),))
    while True:
        try:
            return _try(task, engines, window)
        except MemoryError as error:
            if task.window or window <= SMALLEST_WINDOW:
                raise does_not_fit(window) from error
            window //= 2


def _try(task: ChoiceTask, engines: list[Engine], window: int) -> Choice:
    """Try engines on a window, or whether the window fits the memory of the only engine left."""
    alone = len(engines) == 1
    block = _typical(task, window if alone else _trial_side(task, window))
    setup = TrialSetup(task.model, block, task.slots, _pixels(task, window) / _slots(task))
    if alone:
        model, predictor = try_only_engine(setup, engines[0])
        trials = [Trial(engine=engines[0], note=ONLY)]
    else:
        trials, model, predictor = try_engines(setup, engines)
    hold(model, task.slots, predictor)
    return Choice(engine=model.settings.engine, window=window, trials=tuple(trials))


def _footprint(task: ChoiceTask) -> MemoryCost:
    first = task.model.folders[0]
    if is_file(first):
        from geoseg.models.exchange.onnx_predictor import measure as measure_file

        return measure_file(first)
    network, spec = load_network(first)
    if task.model.settings.passes:
        dropout.names(network)
    return measure(network, len(spec.bands))


def _candidates(task: ChoiceTask) -> list[Engine]:
    """The engines that may run the network, the reference first, then those soonest ready."""
    found = [each for each in _possible(task) if _is_allowed(task, each)]
    if not found:
        passes = task.model.settings.passes
        raise ConfigError(
            "no engine does this here",
            got=f"--engine {task.engine} --precision {task.precision}"
            + (f" --passes {passes}" if passes else ""),
            wanted="onnx computes in fp32 only; --passes, dpt and a GPU need torch, which does not"
            " run .onnx files",
        )
    return found


def _possible(task: ChoiceTask) -> list[Engine]:
    """The engines that can read the model on this device, in the order in which they are tried."""
    openvino = [Engine(name="openvino", precision="bf16"), Engine(name="openvino")]
    if not task.model.uses_torch:
        return [task.model.reference, *openvino]
    found = [Engine(), Engine(precision="bf16")]
    if not _gpu(task):
        found += [*openvino, Engine(name="onnx")]
    if task.engine == "auto":  # compiled torch comes last: it takes a minute to be ready
        found.append(Engine(precision="bf16" if has_bf16() else "fp32", compiled=True))
    return found


def _is_allowed(task: ChoiceTask, engine: Engine) -> bool:
    """Whether an engine is what was asked for, and computes what the model needs."""
    if task.engine not in ("auto", engine.name):
        return False
    if task.precision not in ("auto", engine.precision):
        return False
    if _needs_torch(task) and engine != Engine(precision=engine.precision):
        return False
    # What the user names is tried even where it is slow or missing: the error says what is wrong.
    if engine.precision == "bf16" and task.precision != "bf16" and not has_bf16():
        return False
    return task.engine != "auto" or installed(engine)


def _needs_torch(task: ChoiceTask) -> bool:
    """Dropout at inference and some architectures run as they are in torch only."""
    return task.model.settings.passes > 0 or any(
        spec.architecture in TORCH_ONLY and spec.side is None for spec in task.model.specs
    )


def _gpu(task: ChoiceTask) -> bool:
    """Whether a GPU runs the network; ONNX files run on the CPU."""
    return torch.cuda.is_available() and task.model.uses_torch


def _window(task: ChoiceTask, footprint: MemoryCost) -> int:
    """The largest window that memory allows: the larger it is, the smaller the share of context."""
    if _gpu(task):
        return GPU_WINDOW
    each = footprint.bytes * HELD * len(task.model.folders)
    free = psutil.virtual_memory().available * MEMORY_SHARE / _slots(task)
    window = DEFAULT_WINDOW
    while window > SMALLEST_WINDOW and each * (window + 2 * task.halo) ** 2 > free:
        window //= 2
    return window


def _trial_side(task: ChoiceTask, window: int) -> int:
    """Side of the window that engines are tried on.

    On a CPU pixels per second hardly depend on it, so a smaller window saves time.
    """
    if _gpu(task) or TRIAL_WINDOW % task.model.specs[0].stride:
        return window
    return min(window, TRIAL_WINDOW)


def _slots(task: ChoiceTask) -> int:
    return task.slots * task.processes


def _pixels(task: ChoiceTask, window: int) -> int:
    """Pixels that the network sees in all scenes, context included."""
    count = len(list(grid.split(grid.whole(task.source.geobox.shape), window)))
    height, width = task.source.geobox.shape
    return task.scenes * min(
        count * (window + 2 * task.halo) ** 2, (height + window) * (width + window)
    )


def _typical(task: ChoiceTask, window: int) -> Block:
    """Of some whole windows of the scene, the one with the most valid pixels.

    An empty window would show how fast engines are, but not whether their classes agree.
    """
    shape = tuple(task.source.geobox.shape)
    stride = task.model.specs[0].stride
    tiles = list(grid.tiles(shape, window, task.halo, multiple_of=stride))
    tiles = [tile for tile in tiles if tile.core.shape == tiles[0].core.shape]
    best: Block | None = None
    for tile in tiles[len(tiles) // 2 :: max(1, len(tiles) // SAMPLED_WINDOWS)] + tiles[:1]:
        block = task.source.read(tile.read)
        if best is None or block.valid.sum() > best.valid.sum():
            best = block
        if best.valid.all():
            break
    assert best is not None, "a scene has a window"
    return best
