"""How many processes map, and how many regions each of them computes at once."""

from __future__ import annotations

from dataclasses import dataclass

from dask.system import CPU_COUNT

from geoseg.job import WorkerOptions
from geoseg.models.saved_model import SavedModel
from geoseg.steps.predict.method import Method

GPU_SLOTS, GPU_READERS = 2, 6
"""One region is computed while another is copied to or from the GPU; the readers feed them."""

SLOTS_PER_READER = 4
"""On CPUs a region takes many times as long to compute as to read."""


@dataclass(frozen=True)
class Workers:
    """How the work is shared.

    Attributes:
        options: worker processes or cluster; one process per GPU is filled in.
        slots: how many regions a process computes at once.
        readers: threads on top of those, which read and write.
    """

    options: WorkerOptions
    slots: int
    readers: int

    @property
    def processes(self) -> int:
        """How many processes share the work."""
        return max(1, self.options.workers)


def workers_of(method: Method) -> Workers:
    """One process per GPU; on CPUs a thread per core, or one per worker process."""
    options: WorkerOptions = method.options
    model, gpus = method.model, 0
    if isinstance(model, SavedModel) and model.uses_torch and not options.cluster:
        import torch

        gpus = torch.cuda.device_count()
    if gpus > 1 and not options.workers:
        options = options.model_copy(update={"workers": gpus})
    if gpus:
        return Workers(options, GPU_SLOTS, GPU_READERS)
    # Worker processes share the cores, so each computes one region at a time.
    slots = 1 if options.workers or options.cluster else CPU_COUNT
    return Workers(options, slots, max(1, slots // SLOTS_PER_READER))
