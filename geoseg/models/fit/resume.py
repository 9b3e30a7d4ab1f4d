"""Checkpoints at the end of epochs, and training that continues from one to the same weights."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from lightning.pytorch.plugins.io import TorchCheckpointIO

from geoseg import files


class Resume(Checkpoint):
    """Saves the whole state of training after each epoch, and starts from a saved one.

    Lightning's own resumption (``ckpt_path``) also restores its loops, in the middle of the end of
    an epoch, and then skips the start of the next one. Here a run simply begins at a later epoch.

    Args:
        path: the checkpoint.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Continue from the checkpoint, if there is one."""
        if not self._path.exists():
            return
        saved = torch.load(self._path, weights_only=True, map_location="cpu")
        _restore(trainer, pl_module, saved)
        _set_progress(trainer, saved["epoch"] + 1, saved["global_step"])
        # a run killed after its last epoch had run out of patience must not train another one
        stopping = trainer.early_stopping_callback
        assert stopping is not None, "every training has one"
        trainer.should_stop = stopping.wait_count >= stopping.patience

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002  (Lightning names it)
        """Save, after all other callbacks."""
        trainer.save_checkpoint(self._path)


class WholeFiles(TorchCheckpointIO):
    """Writes checkpoints that appear whole or not at all."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        assert storage_options is None, "for remote storage only"
        with files.whole(Path(path)) as temporary:
            torch.save(checkpoint, temporary)


def _restore(trainer: L.Trainer, task: L.LightningModule, saved: dict[str, Any]) -> None:
    """Restore weights, optimizers, schedules and callbacks; one of them averages the weights."""
    task.load_state_dict(saved["state_dict"])
    for optimizer, state in zip(trainer.optimizers, saved["optimizer_states"], strict=True):
        optimizer.load_state_dict(state)
    for config, state in zip(trainer.lr_scheduler_configs, saved["lr_schedulers"], strict=True):
        config.scheduler.load_state_dict(state)
    states: Mapping[str, Any] = saved["callbacks"]
    for callback in trainer.callbacks:  # type: ignore[attr-defined]  # added by its connector
        callback.on_load_checkpoint(trainer, task, saved)
        if callback.state_key in states:
            callback.load_state_dict(states[callback.state_key])


def _set_progress(trainer: L.Trainer, epoch: int, steps: int) -> None:
    """Set the counters that Lightning derives current_epoch and global_step from."""
    loop = trainer.fit_loop
    for count in (loop.epoch_progress.current, loop.epoch_progress.total):
        for name in ("ready", "started", "processed", "completed"):
            setattr(count, name, epoch)
    loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total.completed = steps
    loop.epoch_loop._batches_that_stepped = steps
