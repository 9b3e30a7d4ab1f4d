"""What a chip cost, handed back to what draws chips."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from geoseg.classes import IGNORE


class HandBack(Callback):
    """Hands back the mean cross-entropy over the labelled pixels of each chip of a step.

    It sees the logits as the loss does, so the network runs once. What it has told is part of the
    checkpoint, and told again when a training goes on.

    Args:
        learn: takes chips and losses.
    """

    def __init__(self, learn: Callable[[NDArray[np.int64], NDArray[np.floating]], None]) -> None:
        self._learn = learn
        self._losses: Tensor | None = None
        self._told: dict[int, float] = {}

    def state_dict(self) -> dict[str, Tensor]:
        """The last loss of each chip."""
        return {
            "chips": torch.tensor(list(self._told), dtype=torch.int64),
            "losses": torch.tensor(list(self._told.values()), dtype=torch.float32),
        }

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Tell again what a checkpoint holds."""
        self._tell(state_dict["chips"], state_dict["losses"])

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Listen to the loss."""
        criterion = pl_module.criterion
        assert isinstance(criterion, nn.Module), "a task has a loss"
        criterion.register_forward_hook(self._listen)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,  # noqa: ARG002
        pl_module: L.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: dict[str, Tensor],
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Hand back."""
        assert self._losses is not None, "a step computes a loss"
        self._tell(batch["chip"], self._losses)

    def _tell(self, chips: Tensor, losses: Tensor) -> None:
        self._told.update(zip(chips.tolist(), losses.tolist(), strict=True))
        self._learn(chips.cpu().numpy(), losses.cpu().numpy())

    def _listen(self, module: nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG002
        logits, mask = inputs
        pixels = cross_entropy(logits.detach().float(), mask, ignore_index=IGNORE, reduction="none")
        labelled = (mask != IGNORE).sum(dim=(1, 2)).clamp(min=1)
        self._losses = pixels.sum(dim=(1, 2)) / labelled
