"""Scores by epoch, kept in the checkpoints, so that a resumed run has them all."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from math import isnan
from pathlib import Path
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Checkpoint

from geoseg import files

type Epochs = Sequence[Mapping[str, float]]
"""One mapping per epoch, from columns of metrics.csv to numbers."""
COLUMNS = (
    "epoch", "lr", "train_loss", "train_edge_loss", "train_miou", "train_accuracy", "val_loss",
    "val_miou", "val_accuracy",
)  # fmt: skip


class History(Checkpoint):
    """Records the scores of every epoch and rewrites metrics.csv after each.

    A checkpoint callback, because Lightning calls those last, after the scores have been logged.

    Args:
        table: the CSV file to write.
    """

    def __init__(self, table: Path) -> None:
        self.epochs: list[dict[str, float]] = []
        self._table = table

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002  (Lightning names it)
        """Add an epoch."""
        logged = trainer.callback_metrics
        scores = {name: float(logged[name]) for name in COLUMNS if name in logged}
        lr = float(trainer.optimizers[0].param_groups[0]["lr"])
        self.epochs.append({"epoch": trainer.current_epoch, "lr": lr, **scores})
        if trainer.is_global_zero:
            write_metrics(self._table, self.epochs)

    def state_dict(self) -> dict[str, Any]:
        """All epochs so far."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the epochs of a checkpoint."""
        self.epochs = list(state_dict["epochs"])


def epochs_of(checkpoint: Mapping[str, Any]) -> Epochs:
    """The epochs up to a checkpoint."""
    epochs: Epochs = checkpoint["callbacks"]["History"]["epochs"]
    return epochs


def best_of(epochs: Epochs) -> dict[str, float]:
    """Validation mIoU and number of the first of the best epochs.

    Lightning keeps the weights of that epoch. An epoch whose mIoU is NaN (no labelled validation
    pixel) is best only if all are.
    """
    scored = [epoch for epoch in epochs if not isnan(epoch["val_miou"])] or epochs[:1]
    best = max(scored, key=lambda epoch: epoch["val_miou"])
    return {"val_miou": round(best["val_miou"], 6), "best_epoch": int(best["epoch"])}


def write_metrics(path: Path, epochs: Epochs) -> None:
    """Write epochs as CSV; columns that no epoch has are left out."""
    stream = io.StringIO()
    columns = [name for name in COLUMNS if any(name in epoch for epoch in epochs)]
    # csv ends lines with \r\n by default, whatever the system
    table = csv.DictWriter(stream, columns, lineterminator="\n")
    table.writeheader()
    table.writerows({name: f"{value:.6g}" for name, value in epoch.items()} for epoch in epochs)
    files.write_bytes(path, stream.getvalue().encode())
