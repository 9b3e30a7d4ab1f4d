"""The engine and the window of a job, chosen by a short trial when it starts."""

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
from geoseg.steps.predict.choice import DEFAULT_WINDOW, Choice, ChoiceTask, Trial, does_not_fit
from geoseg.steps.predict.predictor_cache import hold
from geoseg.steps.predict.trials import Stand, compete, prove

GPU_WINDOW, SMALLEST_WINDOW = 2048, 256
MEMORY_SHARE = 0.5
"""Of the memory that is free."""
TRIAL_WINDOW = 384
LOOKS = 16
SHORT_S = 15.0
SHORT = "chosen: the job is too short for trials"
ONLY = "chosen: nothing else does what was asked for"
HELD = 0.5
"""Share of what all layers put out that is held at once, at most."""


def choose(task: ChoiceTask) -> Choice:
    """Choose the engine and the window.

    Engines are tried on one window of the scene, those first that are soon ready, as long as a
    trial is worth its time; one whose classes differ from torch's in float32 on more than 0.2 % of
    the window is not taken. The only engine left runs one whole window, so that a window that does
    not fit the memory is halved. Short jobs try nothing.

    Raises:
        ConfigError: no engine can do what was asked for.
        ModelError: dropout is to be left on in a network that has none, or the only engine left
            cannot run the network.
        RetryError: the window asked for, or even the smallest, does not fit the memory.
    """
    with _one_thread(), allocator.returned():
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
    """Let engines compete on a window, or the only one prove that the window fits the memory."""
    alone = len(engines) == 1
    block = _typical(task, window if alone else _trial_side(task, window))
    stand = Stand(task.model, block, task.slots, _pixels(task, window) / _slots(task))
    if alone:
        model, predictor = prove(stand, engines[0])
        trials = [Trial(engine=engines[0], note=ONLY)]
    else:
        trials, model, predictor = compete(stand, engines)
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
    """What may run the network: first what others are held to, then what is soon ready."""
    gpu, settings = _gpu(task), task.model.settings
    only_torch = settings.passes or any(
        spec.architecture in TORCH_ONLY and spec.side is None for spec in task.model.specs
    )
    elsewhere = [Engine(name="openvino", precision="bf16"), Engine(name="openvino")]
    if task.model.uses_torch:
        elsewhere = [] if gpu else [*elsewhere, Engine(name="onnx")]
        possible = [Engine(), Engine(precision="bf16"), *elsewhere]
    else:
        possible = [task.model.reference, *elsewhere]
    if task.engine == "auto" and task.model.uses_torch:
        possible.append(Engine(precision="bf16" if has_bf16() else "fp32", compiled=True))
    found = [
        each
        for each in possible
        if task.engine in ("auto", each.name)
        and task.precision in ("auto", each.precision)
        and (installed(each) or task.engine != "auto")
        and (each.precision == "fp32" or has_bf16() or task.precision == "bf16")
        and not (only_torch and each != Engine(precision=each.precision))
    ]
    if not found:
        raise ConfigError(
            "no engine does this here",
            got=f"--engine {task.engine} --precision {task.precision}"
            + (f" --passes {settings.passes}" if settings.passes else ""),
            wanted="onnx computes in fp32 only; --passes, dpt and a GPU need torch, which does not"
            " run .onnx files",
        )
    return found


def _gpu(task: ChoiceTask) -> bool:
    """Whether a GPU maps; ONNX files run on the CPU."""
    return torch.cuda.is_available() and task.model.uses_torch


def _window(task: ChoiceTask, footprint: MemoryCost) -> int:
    """The largest window that fits: few pixels of context, as much as caches and memory allow."""
    if _gpu(task):
        return GPU_WINDOW
    each = footprint.bytes * HELD * len(task.model.folders)
    free = psutil.virtual_memory().available * MEMORY_SHARE / _slots(task)
    window = DEFAULT_WINDOW
    while window > SMALLEST_WINDOW and each * (window + 2 * task.halo) ** 2 > free:
        window //= 2
    return window


def _trial_side(task: ChoiceTask, window: int) -> int:
    """What engines are tried on: on a CPU, whose rates hardly depend on it, a smaller window."""
    if _gpu(task) or TRIAL_WINDOW % task.model.specs[0].stride:
        return window
    return min(window, TRIAL_WINDOW)


def _slots(task: ChoiceTask) -> int:
    return task.slots * task.processes


def _pixels(task: ChoiceTask, window: int) -> int:
    """What the network has to see in all windows of all scenes, each with its context."""
    count = len(list(grid.split(grid.whole(task.source.geobox.shape), window)))
    height, width = task.source.geobox.shape
    return task.scenes * min(
        count * (window + 2 * task.halo) ** 2, (height + window) * (width + window)
    )


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
