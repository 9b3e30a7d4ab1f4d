"""The predictor of a process, loaded once and shared by its threads."""

from __future__ import annotations

import threading

from geoseg import allocator
from geoseg.models.run.predictor import Predictor
from geoseg.models.saved_model import SavedModel

_lock = threading.Lock()
_loaded: dict[tuple[SavedModel, int], Predictor] = {}


def predictor_of(model: SavedModel | Predictor, slots: int) -> Predictor:
    """The predictor, ready to run on one CPU thread per call.

    The last bits of a convolution depend on how many threads share it. So each region is mapped by
    one thread, and the cores share the regions instead.

    Args:
        model: a predictor, or where it is saved.
        slots: how many calls run at once.

    Raises:
        ModelError: the model is damaged, or the engine cannot run it.
    """
    if not isinstance(model, SavedModel):
        return model
    import torch

    torch.set_num_threads(1)
    allocator.keep(freed=model.settings.engine.makes_arrays)
    with _lock:
        if (model, slots) not in _loaded:
            _loaded.clear()  # one at a time: two large networks may not fit the memory
            _loaded[model, slots] = model.load(_device(), slots)
        return _loaded[model, slots]


def hold(model: SavedModel, slots: int, predictor: Predictor) -> None:
    """Keep a predictor that trials have loaded, so that the first region need not load it again."""
    with _lock:
        _loaded.clear()
        _loaded[model, slots] = predictor


def release() -> None:
    """Drop the predictor: other processes do the work."""
    with _lock:
        _loaded.clear()


def _device() -> str | None:
    """The GPU of this worker.

    There are as many worker processes as GPUs, and Dask names them 0, 1, 2 and so on; outside of
    its workers, and on clusters that name them otherwise, the first GPU is taken.
    """
    import torch
    from dask.distributed import get_worker

    if not torch.cuda.is_available():
        return None
    try:
        number = int(get_worker().name)
    except ValueError:
        number = 0
    return f"cuda:{number % torch.cuda.device_count()}"
