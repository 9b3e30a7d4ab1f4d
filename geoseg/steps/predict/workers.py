"""Who maps: processes, and what each of them does at once."""

from __future__ import annotations

from dataclasses import dataclass

from dask.system import CPU_COUNT

from geoseg.job import WorkerOptions
from geoseg.models.saved_model import SavedModel
from geoseg.steps.predict.plan import Plan

GPU_SLOTS, GPU_READERS = 2, 6
SLOTS_PER_READER = 4
"""On CPUs a region takes many times as long to compute as to read."""


@dataclass(frozen=True)
class Team:
    """Who maps.

    Attributes:
        options: where the work is done, with all workers named.
        slots: how many regions of a process compute at once.
        readers: threads on top of those, which read and write.
    """

    options: WorkerOptions
    slots: int
    readers: int

    @property
    def processes(self) -> int:
        """How many share the work."""
        return max(1, self.options.workers)


def team_of(plan: Plan) -> Team:
    """One process per GPU; on CPUs a thread per core, or one per worker process."""
    options: WorkerOptions = plan.options
    gpus = 0
    if isinstance(plan.model, SavedModel) and plan.model.uses_torch and not options.cluster:
        import torch

        gpus = torch.cuda.device_count()
    if gpus > 1 and not options.workers:
        options = options.model_copy(update={"workers": gpus})
    if gpus:
        return Team(options, GPU_SLOTS, GPU_READERS)
    slots = 1 if options.workers or options.cluster else CPU_COUNT
    return Team(options, slots, max(1, slots // SLOTS_PER_READER))
