"""The predictor of this process, loaded once and shared by its threads."""

from __future__ import annotations

import threading

from geoseg import allocator
from geoseg.models.run.predictor import Predictor
from geoseg.models.saved_model import SavedModel

_lock = threading.Lock()
_held: dict[tuple[SavedModel, int], Predictor] = {}


def predictor_of(model: SavedModel | Predictor, slots: int) -> Predictor:
    """The predictor, ready to run on one thread of the CPU per call.

    The last bits of a convolution depend on how many threads share it. So every region is mapped
    by one thread, and the cores share the regions instead.

    Args:
        model: a predictor, or where it is saved.
        slots: how many calls will be under way at once.
    """
    if not isinstance(model, SavedModel):
        return model
    import torch

    torch.set_num_threads(1)
    allocator.keep(freed=model.settings.engine.makes_arrays)
    with _lock:
        if (model, slots) not in _held:
            _held.clear()
            _held[model, slots] = model.load(_device(), slots)
        return _held[model, slots]


def hold(model: SavedModel, slots: int, predictor: Predictor) -> None:
    """Keep a predictor that is loaded already for the work to come."""
    with _lock:
        _held.clear()
        _held[model, slots] = predictor


def release() -> None:
    """Hold nothing: the work is done elsewhere."""
    with _lock:
        _held.clear()


def _device() -> str | None:
    """The GPU of this worker: as many processes as GPUs, each its own."""
    import torch
    from dask.distributed import get_worker

    if not torch.cuda.is_available():
        return None
    try:
        number = int(get_worker().name)
    except ValueError:
        number = 0
    return f"cuda:{number % torch.cuda.device_count()}"
