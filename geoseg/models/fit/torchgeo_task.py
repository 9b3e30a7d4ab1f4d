"""Everything geoseg asks of torchgeo's networks and tasks, whose API moves between releases."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torchgeo.models import FCN
from torchgeo.tasks import SemanticSegmentation
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from geoseg import accuracy
from geoseg.classes import IGNORE
from geoseg.models.fit.losses import MapLoss
from geoseg.models.fit.schedules import schedule
from geoseg.models.networks.edge_head import EdgeHead, features_of

if TYPE_CHECKING:
    from geoseg.models.fit.training_settings import Recipe

__all__ = ["FCN", "MapTask"]


class MapTask(SemanticSegmentation):
    """torchgeo's segmentation task with geoseg's losses, metrics, augmentation and schedule.

    Args:
        network: the network to fit; it replaces the one the task would build.
        recipe: how to fit.
        lr: peak learning rate.
    """

    ignore = ("network", "recipe")

    def __init__(self, network: nn.Module, recipe: Recipe, lr: float) -> None:
        self._network = [network]
        self._recipe = recipe
        super().__init__(num_classes=recipe.classes, ignore_index=IGNORE, lr=lr)
        self._turns = K.AugmentationSequential(
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            K.RandomRotation90(times=(0, 3), resample="nearest", align_corners=True),
            data_keys=["input", "mask"],
        )

    def configure_models(self) -> None:
        """Take the network that was given, and a head for class edges if they are learned too."""
        self.model = self._network.pop()
        self.edges = EdgeHead(self.model) if self._recipe.edges else None

    def configure_losses(self) -> None:
        """The recipe's loss; 255 is ignored."""
        recipe = self._recipe
        self.criterion = MapLoss(recipe.loss, recipe.class_weights, recipe.label_smoothing)

    def configure_metrics(self) -> None:
        """One confusion matrix per phase; scores come from it as everywhere in geoseg."""
        matrix = MulticlassConfusionMatrix(self._recipe.classes, ignore_index=IGNORE)
        for phase in ("train", "val", "test"):
            metrics = MetricCollection({"confusion": matrix.clone()})
            setattr(self, f"{phase}_metrics", metrics)

    def on_train_epoch_start(self) -> None:
        """Let chance depend on seed and epoch alone, so that a resumed run meets the same."""
        # a large prime keeps the epochs of neighbouring seeds apart
        torch.manual_seed(self._recipe.seed * 1_000_003 + self.current_epoch + self.global_rank)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:  # type: ignore[override]  # noqa: ARG002  (Lightning names it)
        """The loss of a batch; logged as the mean of an epoch."""
        with features_of(self.model) as features:
            logits = self(batch["image"])
        self.train_metrics(logits, batch["mask"])
        loss: Tensor = self.criterion(logits, batch["mask"])
        self._log_loss("train_loss", loss, len(logits))
        if self.edges is None:
            return loss
        edge_loss: Tensor = self.edges(features[-1], batch["mask"])
        self._log_loss("train_edge_loss", edge_loss, len(logits))
        return loss + self._recipe.edges * edge_loss

    def on_train_epoch_end(self) -> None:
        """Log the training scores."""
        self._log_scores("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        self._log_scores("val")

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> Any:  # noqa: ARG002  (Lightning names it)
        """Scale chips, flip and turn those of training, on the device they will be used on."""
        mean, std = self._recipe.mean, self._recipe.std
        image, mask = scaled(batch["image"], batch["valid"], mean, std), batch["mask"].long()
        if self.trainer.training:
            image, turned = self._turns(image, mask[:, None].float())
            mask = turned[:, 0].long()
        return {"image": image, "mask": mask, "chip": batch["chip"]}

    def configure_optimizers(self) -> Any:
        """AdamW under the recipe's schedule over all steps."""
        lr = self.hparams["lr"]
        weights = [each for each in self.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        found = schedule(self._recipe.schedule, optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": found, "interval": "step"}}

    def _log_loss(self, name: str, loss: Tensor, images: int) -> None:
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=images, sync_dist=True)

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
