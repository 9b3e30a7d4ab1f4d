"""Long work: run directories that survive kills, and one function that spreads work over Dask."""

from geoseg.job.file_lock import hold_file
from geoseg.job.ledger import Ledger
from geoseg.job.once import once
from geoseg.job.ordered import in_order, on_workers
from geoseg.job.pool import WorkerOptions, spread
from geoseg.job.record import (
    Inputs,
    Record,
    describe_inputs,
    read_record,
    step_key,
    unrepeatable,
    write_record,
)
from geoseg.job.run_directory import Run, RunOptions, open_run
from geoseg.job.run_view import RunView, view_run

__all__ = [
    "Inputs",
    "Ledger",
    "Record",
    "Run",
    "RunOptions",
    "RunView",
    "WorkerOptions",
    "describe_inputs",
    "hold_file",
    "in_order",
    "on_workers",
    "once",
    "open_run",
    "read_record",
    "spread",
    "step_key",
    "unrepeatable",
    "view_run",
    "write_record",
]
