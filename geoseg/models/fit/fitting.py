"""Fit a network to chips under Lightning; a killed run continues where it stopped."""

from __future__ import annotations

import copy
import json
import logging
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.tuner.tuning import Tuner
from torch import Tensor, nn
from torch.utils.data import DataLoader

from geoseg import allocator, files
from geoseg.layout import METRICS
from geoseg.models.fit.chip_losses import ChipLosses, TakeLosses
from geoseg.models.fit.history import Epochs, History, epochs_of
from geoseg.models.fit.resume import Resume, WholeFiles
from geoseg.models.fit.schedules import weight_average
from geoseg.models.fit.torchgeo_task import MapTask
from geoseg.models.fit.training_settings import TrainingSettings
from geoseg.models.run.hardware import has_bf16

STEPS_PER_EPOCH = 20
"""At least; small chip sets are gone through several times between validations."""
LR_RANGE = 1e-5, 1e-2
"""Limits of a learning rate that was searched for; beyond them the curve was noise."""

type ChipLoader = DataLoader[dict[str, Tensor]]

logger = logging.getLogger(__name__)


def fit(
    network: nn.Module,
    train: ChipLoader,
    val: ChipLoader,
    settings: TrainingSettings,
    work: Path,
    logs: Path,
    *,
    take_losses: TakeLosses | None = None,
) -> Epochs:
    """Fit a network in place and leave it with the weights of its best epoch.

    Order, augmentation and dropout depend on seed and epoch alone, and each checkpoint is written
    whole at the end of an epoch. A run that is killed and continued therefore ends with the
    weights of an undisturbed one.

    Args:
        network: maps (images, bands, height, width) to logits of the same size.
        train: training batches: "image" and "valid" as stored, "mask", and "chip".
        val: validation batches, which decide on the best epoch.
        settings: how to fit.
        work: folder for checkpoints; training continues from one that is there.
        logs: folder for metrics.csv and TensorBoard's files.
        take_losses: gets the cross-entropy of each chip after every step.

    Returns:
        The scores of each epoch, as in metrics.csv.

    Raises:
        KeyboardInterrupt: training was interrupted.
    """
    last, best = work / "last.ckpt", work / "best.ckpt"
    with _quiet(settings.seed), allocator.returned():
        # batches and activations need buffers of the same sizes again and again
        allocator.keep(freed=True)
        network.to(memory_format=torch.channels_last)
        lr = _found_lr(network, train, settings, work) if settings.lr == "auto" else settings.lr
        trainer = _trainer(settings, work, logs, [ChipLosses(take_losses)] if take_losses else [])
        try:
            trainer.fit(MapTask(network, settings, lr), train, val)
        except SystemExit as error:  # Lightning turns an interrupt into it
            raise KeyboardInterrupt from error
        # weights_only: the work folder may be shared, and a pickle could hold code
        state = torch.load(best, weights_only=True, map_location="cpu")
        epochs = epochs_of(torch.load(last, weights_only=True, map_location="cpu"))
    # the task's state also has the edge head and the loss, which the network has not
    weights = {
        name.removeprefix("model."): value
        for name, value in state["state_dict"].items()
        if name.startswith("model.")
    }
    network.load_state_dict(weights)
    return epochs


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        L.seed_everything(seed, workers=True, verbose=False)
        yield


def _found_lr(
    network: nn.Module, train: ChipLoader, settings: TrainingSettings, work: Path
) -> float:
    """Find where the loss falls most steeply while the learning rate grows (Smith, 2017)."""
    # kept, as a resumed run must not search again: it would find another rate
    note = work / "lr.json"
    if note.exists():
        return float(json.loads(note.read_bytes()))
    work.mkdir(parents=True, exist_ok=True)
    trainer = L.Trainer(
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=work,
    )  # fmt: skip
    task = MapTask(copy.deepcopy(network), settings, LR_RANGE[0])
    finder = Tuner(trainer).lr_find(task, train, min_lr=1e-7, update_attr=False)
    found = finder.suggestion() if finder else None
    lr = float(np.clip(found or LR_RANGE[1] / 10, *LR_RANGE))
    logger.info("learning rate %.2g", lr)
    files.write_json(note, lr)
    return lr


def _trainer(settings: TrainingSettings, work: Path, logs: Path, more: list[Callback]) -> L.Trainer:
    bar = sys.stderr.isatty()
    # Lightning calls checkpoint callbacks last, in this order: scores are recorded and the best
    # weights saved before Resume writes the state that counts as done
    callbacks: list[Callback] = [
        *more,
        *([weight_average(settings.ema)] if settings.ema else []),
        *([TQDMProgressBar()] if bar else []),
        EarlyStopping(
            "val_miou", mode="max", patience=settings.patience, check_on_train_epoch_end=True
        ),
        History(logs / METRICS),
        ModelCheckpoint(
            work, filename="best", monitor="val_miou", mode="max", save_on_train_epoch_end=True,
            enable_version_counter=False,
        ),
        Resume(work / "last.ckpt"),
    ]  # fmt: skip
    tensorboard = find_spec("tensorboard") is not None
    return L.Trainer(
        accelerator="auto",
        devices="auto",
        strategy="ddp_spawn" if torch.cuda.device_count() > 1 else "auto",
        # the sampler shares batches out itself; Lightning's would shuffle them by another seed
        use_distributed_sampler=False,
        precision="bf16-mixed" if has_bf16() else "32-true",
        max_epochs=settings.epochs,
        accumulate_grad_batches=settings.accumulate,
        callbacks=callbacks,
        plugins=[WholeFiles()],
        enable_progress_bar=bar,
        enable_model_summary=False,
        logger=TensorBoardLogger(logs, name="tensorboard", version="") if tensorboard else False,
        log_every_n_steps=STEPS_PER_EPOCH,
        # a run that continues would validate once more often than an undisturbed one
        num_sanity_val_steps=0,
    )
