"""The loss of each training chip, passed on to the sampler that draws hard chips more often."""

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

type TakeLosses = Callable[[NDArray[np.int64], NDArray[np.floating]], None]
"""Takes chips, (n,), and the loss of each, (n,)."""


class ChipLosses(Callback):
    """Passes on the mean cross-entropy of the labelled pixels of each chip after every step.

    A hook on the loss sees the logits, so the network runs once per step. All losses so far are
    part of the checkpoint and are passed on again on resumption, or the sampler of a resumed
    run would draw other chips.

    Args:
        take: gets chips and losses after every step.
    """

    def __init__(self, take: TakeLosses) -> None:
        self._take = take
        self._step_losses: Tensor | None = None
        self._by_chip: dict[int, float] = {}

    def state_dict(self) -> dict[str, Tensor]:
        """The last loss of each chip."""
        return {
            "chips": torch.tensor(list(self._by_chip), dtype=torch.int64),
            "losses": torch.tensor(list(self._by_chip.values()), dtype=torch.float32),
        }

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        """Pass on the losses of a checkpoint."""
        self._pass_on(state_dict["chips"], state_dict["losses"])

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:  # noqa: ARG002
        """Hook into the loss."""
        criterion = pl_module.criterion
        assert isinstance(criterion, nn.Module), "a task has a loss"
        criterion.register_forward_hook(self._compute)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,  # noqa: ARG002
        pl_module: L.LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ARG002
        batch: dict[str, Tensor],
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        """Pass on the losses of a step."""
        assert self._step_losses is not None, "a step computes a loss"
        self._pass_on(batch["chip"], self._step_losses)

    def _pass_on(self, chips: Tensor, losses: Tensor) -> None:
        self._by_chip.update(zip(chips.tolist(), losses.tolist(), strict=True))
        self._take(chips.cpu().numpy(), losses.cpu().numpy())

    def _compute(self, module: nn.Module, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:  # noqa: ARG002
        # cross-entropy whatever the loss is: Dice and Lovasz are not defined pixel by pixel
        logits, mask = inputs
        pixels = cross_entropy(logits.detach().float(), mask, ignore_index=IGNORE, reduction="none")
        labelled = (mask != IGNORE).sum(dim=(1, 2)).clamp(min=1)
        self._step_losses = pixels.sum(dim=(1, 2)) / labelled
