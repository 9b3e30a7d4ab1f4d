"""Fit a network to chips under Lightning; killed runs go on where they stopped."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint, TQDMProgressBar
from lightning.pytorch.loggers import CSVLogger, Logger, TensorBoardLogger
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.utils.data import DataLoader

from geoseg import files
from geoseg.models.abilities import has_bf16
from geoseg.models.adapter import Loss, MapTask
from geoseg.models.handback import HandBack

STEPS_PER_EPOCH = 20
"""At least; small chip sets are gone through several times between validations."""

type Batches = DataLoader[dict[str, Tensor]]
type Learn = Callable[[NDArray[np.int64], NDArray[np.floating]], None]


@dataclass(frozen=True)
class Recipe:
    """How to fit.

    Attributes:
        mean: of each band, to scale inputs.
        std: of each band.
        classes: number of classes.
        class_weights: weight of each class in the cross-entropy.
        loss: "ce", "dice" or "ce+dice".
        lr: peak learning rate.
        epochs: at most.
        patience: epochs without a better validation mIoU before it stops.
        augment: whether to flip and turn.
        seed: of everything random.
    """

    mean: tuple[float, ...]
    std: tuple[float, ...]
    classes: int
    class_weights: tuple[float, ...]
    loss: Loss
    lr: float
    epochs: int
    patience: int
    augment: bool
    seed: int


def fit(
    network: nn.Module,
    train: Batches,
    val: Batches,
    recipe: Recipe,
    work: Path,
    logs: Path,
    *,
    learn: Learn | None = None,
) -> dict[str, float]:
    """Fit a network in place and leave it with the weights of its best epoch.

    Args:
        network: the network.
        train: batches to learn from: "image" and "valid" as stored, "mask", and "chip".
        val: batches that decide which epoch was best.
        recipe: how to fit.
        work: folder for checkpoints; one that holds a checkpoint is gone on from.
        logs: folder for metrics.csv and TensorBoard's files.
        learn: is told the cross-entropy of each chip that was trained on.

    Returns:
        Validation metrics of the best epoch.
    """
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        L.seed_everything(recipe.seed, workers=True, verbose=False)
        task = MapTask(
            network.to(memory_format=torch.channels_last),
            recipe.classes,
            recipe.loss,
            recipe.class_weights,
            recipe.lr,
            recipe.augment,
            (recipe.mean, recipe.std),
        )
        best = ModelCheckpoint(
            work, filename="best", monitor="val_miou", mode="max", save_last=True,
            enable_version_counter=False,
        )  # fmt: skip
        stop = EarlyStopping("val_miou", mode="max", patience=recipe.patience)
        table = CSVLogger(work, name="log", version="csv")
        hand_back = [HandBack(learn)] if learn else []
        trainer = _trainer(recipe, [best, stop, *hand_back], [table, *_tensorboard(logs)])
        last = work / "last.ckpt"
        try:
            trainer.fit(
                task,
                train,
                val,
                ckpt_path=last if last.exists() else None,
                weights_only=True,
            )
        except SystemExit as error:  # what Lightning makes of an interrupt
            raise KeyboardInterrupt from error
        state = torch.load(best.best_model_path, weights_only=True, map_location="cpu")
    weights = {
        k.removeprefix("model."): v for k, v in state["state_dict"].items() if k[:6] == "model."
    }
    network.load_state_dict(weights)
    files.write_bytes(logs / "metrics.csv", Path(table.log_dir, "metrics.csv").read_bytes())
    return _metrics(best, state)


def _trainer(recipe: Recipe, callbacks: list[Callback], loggers: list[Logger]) -> L.Trainer:
    bar = sys.stderr.isatty()
    return L.Trainer(
        accelerator="auto",
        devices=1,
        precision="bf16-mixed" if has_bf16() else "32-true",
        max_epochs=recipe.epochs,
        callbacks=[*callbacks, *([TQDMProgressBar()] if bar else [])],
        enable_progress_bar=bar,
        enable_model_summary=False,
        logger=loggers,
        log_every_n_steps=STEPS_PER_EPOCH,
        num_sanity_val_steps=0,
    )


def _tensorboard(logs: Path) -> list[Logger]:
    installed = find_spec("tensorboard") is not None
    return [TensorBoardLogger(logs, name="tensorboard", version="")] if installed else []


def _metrics(best: ModelCheckpoint, state: Mapping[str, Any]) -> dict[str, float]:
    score = best.best_model_score
    return {
        "val_miou": round(float(score), 6) if score is not None else float("nan"),
        "best_epoch": int(state["epoch"]),
    }
