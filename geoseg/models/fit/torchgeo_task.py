"""torchgeo's segmentation task, fed and scored as geoseg does it.

With `models.torchgeo_adapter` the only module that imports torchgeo, whose API moves between
releases.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import kornia.augmentation as K
import torch
from torch import Tensor, nn
from torchgeo.tasks import SemanticSegmentation
from torchmetrics import MetricCollection
from torchmetrics.classification import MulticlassConfusionMatrix

from geoseg import accuracy
from geoseg.classes import IGNORE
from geoseg.models.fit.losses import MapLoss
from geoseg.models.fit.schedules import schedule
from geoseg.models.input_scaling import scaled
from geoseg.models.networks.edge_head import EdgeHead, features_of

if TYPE_CHECKING:
    from geoseg.models.fit.training_settings import TrainingSettings


class MapTask(SemanticSegmentation):
    """torchgeo's segmentation task with geoseg's losses, metrics, augmentation and schedule.

    Args:
        network: the network to fit, in place of the one the task would build.
        settings: how to fit.
        lr: peak learning rate.
    """

    # not hyperparameters, which Lightning writes into every checkpoint
    ignore = ("network", "settings")

    def __init__(self, network: nn.Module, settings: TrainingSettings, lr: float) -> None:
        # in a list, as torch refuses modules as attributes before super().__init__()
        self._network = [network]
        self._settings = settings
        super().__init__(num_classes=settings.classes, ignore_index=IGNORE, lr=lr)
        # the symmetries of the square are exact: no label is interpolated
        self._augment = K.AugmentationSequential(
            K.RandomHorizontalFlip(),
            K.RandomVerticalFlip(),
            K.RandomRotation90(times=(0, 3), resample="nearest", align_corners=True),
            data_keys=["input", "mask"],
        )

    def configure_models(self) -> None:
        """Take the given network, and add a head for class edges if they are learned too."""
        self.model = self._network.pop()
        self.edges = EdgeHead(self.model) if self._settings.edges else None

    def configure_losses(self) -> None:
        """Make the loss of the settings."""
        settings = self._settings
        self.criterion = MapLoss(settings.loss, settings.class_weights, settings.label_smoothing)

    def configure_metrics(self) -> None:
        """Count one confusion matrix per phase; `geoseg.accuracy` computes the scores from it."""
        matrix = MulticlassConfusionMatrix(self._settings.classes, ignore_index=IGNORE)
        for phase in ("train", "val", "test"):
            metrics = MetricCollection({"confusion": matrix.clone()})
            setattr(self, f"{phase}_metrics", metrics)

    def on_train_epoch_start(self) -> None:
        """Seed augmentation and dropout by seed and epoch, so that a resumed run draws the same."""
        # a large prime keeps the epochs of neighbouring seeds apart
        torch.manual_seed(self._settings.seed * 1_000_003 + self.current_epoch + self.global_rank)

    def training_step(self, batch: dict[str, Tensor], batch_idx: int) -> Tensor:  # type: ignore[override]  # noqa: ARG002  (Lightning names it)
        """Compute the loss of a batch; its mean over an epoch is logged."""
        with features_of(self.model) as features:
            logits = self(batch["image"])
        self.train_metrics(logits, batch["mask"])
        loss: Tensor = self.criterion(logits, batch["mask"])
        self._log_loss("train_loss", loss, len(logits))
        if self.edges is None:
            return loss
        edge_loss: Tensor = self.edges(features[-1], batch["mask"])
        self._log_loss("train_edge_loss", edge_loss, len(logits))
        return loss + self._settings.edges * edge_loss

    def on_train_epoch_end(self) -> None:
        """Log the training scores."""
        self._log_scores("train")

    def on_validation_epoch_end(self) -> None:
        """Log the validation scores."""
        self._log_scores("val")

    def on_after_batch_transfer(self, batch: dict[str, Tensor], dataloader_idx: int) -> Any:  # noqa: ARG002  (Lightning names it)
        """Scale chips, and flip and rotate training chips, on the device that trains."""
        mean, std = self._settings.mean, self._settings.std
        image, mask = scaled(batch["image"], batch["valid"], mean, std), batch["mask"].long()
        if self.trainer.training:
            image, augmented = self._augment(image, mask[:, None].float())
            mask = augmented[:, 0].long()
        return {"image": image, "mask": mask, "chip": batch["chip"]}

    def configure_optimizers(self) -> Any:
        """Make AdamW, and the schedule of the settings over all steps."""
        lr = self.hparams["lr"]
        weights = [each for each in self.parameters() if each.requires_grad]
        optimizer = torch.optim.AdamW(weights, lr=lr, weight_decay=0.01)
        steps = int(self.trainer.estimated_stepping_batches)
        found = schedule(self._settings.schedule, optimizer, steps)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": found, "interval": "step"}}

    def _log_loss(self, name: str, loss: Tensor, images: int) -> None:
        self.log(name, loss, on_step=False, on_epoch=True, batch_size=images, sync_dist=True)

    def _log_scores(self, phase: str) -> None:
        metrics: MetricCollection = getattr(self, f"{phase}_metrics")
        confusion = metrics.compute()["confusion"].cpu().numpy()
        metrics.reset()
        values = {"miou": accuracy.scores(confusion).miou, "accuracy": accuracy.overall(confusion)}
        self.log_dict({f"{phase}_{name}": torch.tensor(v) for name, v in values.items()})
