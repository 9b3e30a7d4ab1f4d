"""The epochs of a training: kept in its checkpoints, so that a resumed run has them all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from geoseg import files

type Rows = Sequence[Mapping[str, float]]
COLUMNS = (
    "epoch", "lr", "train_loss", "train_edge_loss", "train_miou", "train_accuracy", "val_loss",
    "val_miou", "val_accuracy",
)  # fmt: skip


class History(Checkpoint):
    """Notes every epoch's scores, and writes them to a table as they come.

    It is a checkpoint callback because Lightning calls those after the scores have been logged.

    Args:
        table: the CSV file to write.
    """

    def __init__(self, table: Path) -> None:
        self.rows: list[dict[str, float]] = []
        self._table = table

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002  (Lightning names it)
        """Add a row."""
        logged = trainer.callback_metrics
        row = {name: float(logged[name]) for name in COLUMNS if name in logged}
        lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.rows.append({"epoch": trainer.current_epoch, "lr": lr, **row})
        if trainer.is_global_zero:
            write_table(self._table, self.rows)

    def state_dict(self) -> dict[str, Any]:
        """All rows."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on after the rows of a checkpoint."""
        self.rows = list(state_dict["rows"])


def rows_of(checkpoint: Mapping[str, Any]) -> Rows:
    """The epochs up to a checkpoint."""
    rows: Rows = checkpoint["callbacks"]["History"]["rows"]
    return rows


def write_table(path: Path, rows: Rows) -> None:
    """Write epochs as CSV."""
    stream = io.StringIO()
    columns = [name for name in COLUMNS if any(name in row for row in rows)]
    table = csv.DictWriter(stream, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({name: _short(value) for name, value in row.items()} for row in rows)
    files.write_bytes(path, stream.getvalue().encode())


def _short(value: float) -> str:
    return f"{value:.6g}"
