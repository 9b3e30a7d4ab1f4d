"""Fit a network to chips under Lightning; killed runs go on where they stopped."""

from __future__ import annotations

import logging
import sys
import warnings
from collections.abc import Mapping
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
from torch.utils.data import DataLoader, Dataset, RandomSampler

from geoseg import files
from geoseg.models.abilities import has_bf16
from geoseg.models.adapter import Loss, MapTask
from geoseg.models.inference import scale
from geoseg.raster.block import Mask, Pixels

STEPS_PER_EPOCH = 20
"""At least; small chip sets are gone through several times between validations."""


@dataclass(frozen=True, eq=False)
class Samples:
    """Chips to fit to.

    Attributes:
        images: (chips, bands, size, size); may be memory-mapped.
        valid: (chips, size, size).
        labels: (chips, size, size) class ids, 255 ignored.
        positions: which chips.
    """

    images: Pixels
    valid: Mask
    labels: NDArray[np.uint8]
    positions: NDArray[np.intp]


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
        batch: chips per step.
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
    batch: int
    epochs: int
    patience: int
    augment: bool
    seed: int


def fit(
    network: nn.Module, train: Samples, val: Samples, recipe: Recipe, work: Path, logs: Path
) -> dict[str, float]:
    """Fit a network in place and leave it with the weights of its best epoch.

    Args:
        network: the network.
        train: chips to learn from.
        val: chips that decide which epoch was best.
        recipe: how to fit.
        work: folder for checkpoints; one that holds a checkpoint is gone on from.
        logs: folder for metrics.csv and TensorBoard's files.

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
        )
        best = ModelCheckpoint(
            work, filename="best", monitor="val_miou", mode="max", save_last=True,
            enable_version_counter=False,
        )  # fmt: skip
        stop = EarlyStopping("val_miou", mode="max", patience=recipe.patience)
        table = CSVLogger(work, name="log", version="csv")
        trainer = _trainer(recipe, [best, stop], [table, *_tensorboard(logs)])
        last = work / "last.ckpt"
        try:
            trainer.fit(
                task,
                _loader(train, recipe, shuffle=True),
                _loader(val, recipe, shuffle=False),
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


class _Chips(Dataset[dict[str, Tensor]]):
    def __init__(self, samples: Samples, recipe: Recipe) -> None:
        self._samples, self._recipe = samples, recipe

    def __len__(self) -> int:
        return len(self._samples.positions)

    def __getitems__(self, indices: list[int]) -> dict[str, Tensor]:
        samples, at = self._samples, self._samples.positions[indices]
        image = scale(samples.images[at], samples.valid[at], self._recipe.mean, self._recipe.std)
        return {"image": image, "mask": torch.from_numpy(samples.labels[at].astype(np.int64))}


def _loader(samples: Samples, recipe: Recipe, *, shuffle: bool) -> DataLoader[dict[str, Tensor]]:
    chips = _Chips(samples, recipe)
    batch = min(recipe.batch, len(chips))
    sampler = RandomSampler(chips, num_samples=max(len(chips), STEPS_PER_EPOCH * batch))
    return DataLoader(
        chips,
        batch_size=batch,
        sampler=sampler if shuffle else None,
        drop_last=shuffle,
        collate_fn=_as_it_is,
    )


def _as_it_is(batch: Any) -> Any:
    return batch
