"""Fit a network to chips under Lightning; killed runs go on where they stopped."""

from __future__ import annotations

import copy
import json
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import TensorBoardLogger
from lightning.pytorch.tuner.tuning import Tuner
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from geoseg import allocator, files
from geoseg.models.fit.chip_losses import HandBack
from geoseg.models.fit.history import History, Rows, rows_of
from geoseg.models.fit.resume import Resume, WholeFiles
from geoseg.models.fit.schedules import average
from geoseg.models.fit.torchgeo_task import MapTask
from geoseg.models.fit.training_settings import Recipe
from geoseg.models.run.hardware import has_bf16

STEPS_PER_EPOCH = 20
"""At least; small chip sets are gone through several times between validations."""

type Batches = DataLoader[dict[str, Tensor]]
type Learn = Callable[[NDArray[np.int64], NDArray[np.floating]], None]

LR_RANGE = 1e-5, 1e-2
"""What a learning rate that was found is kept within; outside of it the curve was noise."""

logger = logging.getLogger(__name__)


def fit(
    network: nn.Module,
    train: Batches,
    val: Batches,
    recipe: Recipe,
    work: Path,
    logs: Path,
    *,
    learn: Learn | None = None,
) -> Rows:
    """Fit a network in place and leave it with the weights of its best epoch.

    Order, augmentation and dropout depend on seed and epoch alone, and checkpoints are written
    whole at the end of each epoch. So a run that was killed and gone on with gives the weights
    that it would have given undisturbed.

    Args:
        network: the network.
        train: batches to learn from: "image" and "valid" as stored, "mask", and "chip".
        val: batches that decide which epoch was best.
        recipe: how to fit.
        work: folder for checkpoints; one that holds a checkpoint is gone on from.
        logs: folder for metrics.csv and TensorBoard's files.
        learn: is told the cross-entropy of each chip that was trained on.

    Returns:
        The scores of each epoch, as in metrics.csv.
    """
    last, best = work / "last.ckpt", work / "best.ckpt"
    with _quiet(recipe.seed), allocator.returned():
        allocator.keep(freed=True)  # batches and activations are as large as those before
        network.to(memory_format=torch.channels_last)
        lr = _found_lr(network, train, recipe, work) if recipe.lr == "auto" else recipe.lr
        trainer = _trainer(recipe, work, logs, [HandBack(learn)] if learn else [])
        try:
            trainer.fit(
                MapTask(network, recipe, lr),
                train,
                val,
            )
        except SystemExit as error:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from error
        state = torch.load(best, weights_only=True, map_location="cpu")
        rows = rows_of(torch.load(last, weights_only=True, map_location="cpu"))
    weights = {
        k.removeprefix("model."): v for k, v in state["state_dict"].items() if k[:6] == "model."
    }
    network.load_state_dict(weights)
    return rows


def best_of(rows: Rows) -> dict[str, float]:
    """Validation metrics of the epoch whose weights `fit` leaves: the first of the best."""
    scored = [row for row in rows if row["val_miou"] == row["val_miou"]] or rows[:1]
    best = max(scored, key=lambda row: row["val_miou"])
    return {"val_miou": round(best["val_miou"], 6), "best_epoch": int(best["epoch"])}


@contextmanager
def _quiet(seed: int) -> Iterator[None]:
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        L.seed_everything(seed, workers=True, verbose=False)
        yield


def _found_lr(network: nn.Module, train: Batches, recipe: Recipe, work: Path) -> float:
    """Where the loss falls most steeply while the learning rate grows (Smith, 2017)."""
    note = work / "lr.json"
    if note.exists():
        return float(json.loads(note.read_bytes()))
    work.mkdir(parents=True, exist_ok=True)
    trainer = L.Trainer(
        accelerator="auto", devices=1, logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=work,
    )  # fmt: skip
    task = MapTask(copy.deepcopy(network), recipe, LR_RANGE[0])
    finder = Tuner(trainer).lr_find(task, train, min_lr=1e-7, update_attr=False)
    found = finder.suggestion() if finder else None
    lr = float(np.clip(found or LR_RANGE[1] / 10, *LR_RANGE))
    logger.info("learning rate %.2g", lr)
    files.write_json(note, lr)
    return lr


def _trainer(recipe: Recipe, work: Path, logs: Path, more: list[Callback]) -> L.Trainer:
    bar = sys.stderr.isatty()
    callbacks: list[Callback] = [
        *more,
        *([average(recipe.ema)] if recipe.ema else []),
        *([TQDMProgressBar()] if bar else []),
        EarlyStopping(
            "val_miou", mode="max", patience=recipe.patience, check_on_train_epoch_end=True
        ),
        History(logs / "metrics.csv"),
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
        use_distributed_sampler=False,
        precision="bf16-mixed" if has_bf16() else "32-true",
        max_epochs=recipe.epochs,
        accumulate_grad_batches=recipe.accumulate,
        callbacks=callbacks,
        plugins=[WholeFiles()],
        enable_progress_bar=bar,
        enable_model_summary=False,
        logger=TensorBoardLogger(logs, name="tensorboard", version="") if tensorboard else False,
        log_every_n_steps=STEPS_PER_EPOCH,
        num_sanity_val_steps=0,
    )
