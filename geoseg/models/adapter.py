"""Everything geoseg asks of torchgeo's networks and tasks, whose API moves between releases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import kornia.augmentation as K
import segmentation_models_pytorch as smp
import torch
from torch import Tensor, nn
from torchgeo.models import FCN
from torchgeo.tasks import SemanticSegmentation
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from geoseg import accuracy
from geoseg.classes import IGNORE

type Loss = Literal["ce", "dice", "ce+dice"]

__all__ = ["FCN", "Loss", "MapTask"]


class MapTask(SemanticSegmentation):
    """torchgeo's segmentation task with geoseg's losses, metrics, augmentation and schedule.

    Args:
        network: the network to fit; it replaces the one the task would build.
        classes: number of classes.
        loss: "ce" (cross-entropy), "dice", or their sum.
        class_weights: weight of each class in the cross-entropy.
        lr: peak learning rate of the one-cycle schedule (Smith and Topin, 2018).
        augment: whether to flip and turn training chips.
        scaling: mean and standard deviation of each band; batches come as stored.
    """

    ignore = ("network", "class_weights", "scaling")

    def __init__(
        self,
        network: nn.Module,
        classes: int,
        loss: Loss,
        class_weights: Sequence[float],
        lr: float,
        augment: bool,
        scaling: tuple[Sequence[float], Sequence[float]],
    ) -> None:
        self._network = [network]
        self._scaling = scaling
        self._classes = classes
        self._loss, self._class_weights = loss, class_weights
        super().__init__(num_classes=classes, ignore_index=IGNORE, lr=lr)
        turns = K.AugmentationSequential(
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            K.RandomRotation90(times=(0, 3), resample="nearest", align_corners=True),
            data_keys=["input", "mask"],
        )
        self._turns = turns if augment else None

    def configure_models(self) -> None:
        """Take the network that was given."""
        self.model = self._network.pop()

    def configure_losses(self) -> None:
        """Cross-entropy, Dice, or their sum; all ignore 255."""
        weights = torch.tensor(self._class_weights)
        parts: list[nn.Module] = []
        if "ce" in self._loss:
            parts.append(nn.CrossEntropyLoss(ignore_index=IGNORE, weight=weights))
        if "dice" in self._loss:
            parts.append(smp.losses.DiceLoss(mode="multiclass", ignore_index=IGNORE))
        self.criterion = _Sum(parts)

    def configure_metrics(self) -> None:
        """One confusion matrix per phase; scores come from it as everywhere in geoseg."""
        matrix = MulticlassConfusionMatrix(self._classes, ignore_index=IGNORE)
        for phase in ("train", "val", "test"):
            metrics = MetricCollection({"confusion": matrix.clone()})
            setattr(self, f"{phase}_metrics", metrics)

    def on_train_epoch_end(self) -> None:
        """Log the training scores."""
        self._log_scores("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        self._log_scores("val")

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> Any:  # noqa: ARG002  (Lightning names it)
        """Scale chips, flip and turn those of training, on the device they will be used on."""
        image, mask = scaled(batch["image"], batch["valid"], *self._scaling), batch["mask"].long()
        if self._turns is not None and self.trainer.training:
            image, turned = self._turns(image, mask[:, None].float())
            mask = turned[:, 0].long()
        return {"image": image, "mask": mask, "chip": batch["chip"]}

    def configure_optimizers(self) -> Any:
        """AdamW under a one-cycle schedule over all steps."""
        lr = self.hparams["lr"]
        optimizer = torch.optim.AdamW(self.parameters(), lr=lr, weight_decay=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, lr, total_steps=steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def _log_scores(self, phase: str) -> None:
        metrics: MetricCollection = getattr(self, f"{phase}_metrics")
        confusion = metrics.compute()["confusion"].cpu().numpy()
        metrics.reset()
        values = {"miou": accuracy.scores(confusion).miou, "accuracy": accuracy.overall(confusion)}
        self.log_dict({f"{phase}_{name}": torch.tensor(v) for name, v in values.items()})


def scaled(images: Tensor, valid: Tensor, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Network input, bit for bit as prediction makes it: (pixel - mean) / std, 0 where not valid.

    Args:
        images: (images, bands, height, width), as stored.
        valid: (images, height, width).
        mean: by band.
        std: by band; a constant band has 0 and is only centred.
    """
    shift = torch.tensor(mean, dtype=torch.float32, device=images.device)[:, None, None]
    spread = torch.tensor([1 / each if each > 0 else 1.0 for each in std], dtype=torch.float32)
    result = images.float().sub(shift).mul_(spread.to(images.device)[:, None, None])
    return result.masked_fill_(~valid[:, None], 0.0)


class _Sum(nn.Module):
    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        return torch.stack([part(logits, labels) for part in self.parts]).sum()
