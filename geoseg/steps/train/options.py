"""Options of `train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from geoseg.models.architectures import Features, Trainable
from geoseg.models.band_names import IndexName
from geoseg.models.fit.training_settings import Loss, Scaling, Schedule, Tuning
from geoseg.options import Options


class TrainOptions(Options):
    """Options of `train`.

    Example:
        >>> import geoseg
        >>> options = geoseg.TrainOptions(architecture="forest", seed=1)
        >>> geoseg.train("chips", "forest", options=options).name
        'forest'
    """

    architecture: Trainable = "unet"
    """Network; or random forest, linear SVM, or threshold on an index, which classify single
    pixels."""

    backbone: str | None = None
    """Encoder: one of segmentation-models-pytorch, "tu-" and the name of a timm model, or swin_*;
    by default that of the weights, or resnet18."""

    weights: str | None = None
    """Initial weights: a name from `geoseg models list`, a file, or a model directory."""

    weights_folder: Path | None = None
    """Folder that `geoseg models fetch --to` put weights into; torch's cache by default."""

    scaling: Scaling = "weights"
    """Scale bands as for the weights, or by the mean and standard deviation of the chips."""

    tuning: Tuning = "full"
    """What is trained: the whole network, all but its encoder, or its last layer only."""

    features: Features = "pixel"
    """Features of a forest or an SVM: the bands, also their texture, or also superpixels."""

    index: IndexName = "ndwi"
    """Spectral index of a threshold."""

    loss: Loss = "ce+dice"
    """Cross-entropy, Dice, focal, Lovasz, Tversky or Jaccard, or the sum of two."""

    unlabelled: tuple[str, ...] = ()
    """Scenes without labels to train on too: pixels that the fitted network is confident of get
    pseudo-labels, and a second network is trained with them."""

    confidence: float = Field(0.9, gt=0, lt=1)
    """Calibrated probability from which a class becomes a pseudo-label."""

    edges: float = Field(0.0, ge=0)
    """Weight of an auxiliary loss on class edges, whose head is removed after training; 0 for
    none."""

    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    """Weights of the classes in the cross-entropy and the focal loss: equal, inverse square root
    of the frequency, inverse frequency."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Fraction of a pixel's label that the cross-entropy spreads over all classes."""

    epochs: int = Field(60, ge=1)
    """Maximum number of epochs."""

    patience: int = Field(15, ge=1)
    """Stop after this many epochs without a better validation mIoU."""

    batch: int = Field(8, ge=2)
    """Chips per step, on each GPU."""

    accumulate: int = Field(1, ge=1)
    """Sum the gradients of this many batches for one step, if a larger batch does not fit into
    memory."""

    fold: Annotated[int, Field(ge=1)] | Literal["all"] | None = None
    """Fold of the chips to validate on, 1 by default. "all" trains one model per fold, whose
    average predicts."""

    sampling: Literal["uniform", "balanced", "hard"] = "uniform"
    """How training chips are drawn: all equally often, by class and then by pixels of that class,
    or in proportion to their last loss."""

    crop: int | None = Field(None, ge=32, multiple_of=32)
    """Side in pixels of the crops that the network is trained on; that of the chips by default."""

    workers: int = Field(0, ge=0)
    """Processes that read chips; 0 reads them in the training process."""

    lr: Annotated[float, Field(gt=0)] | Literal["auto"] = 1e-3
    """Peak learning rate; "auto" finds one by a short trial."""

    schedule: Schedule = "one-cycle"
    """Course of the learning rate."""

    ema: float = Field(0.0, ge=0, lt=1)
    """Decay, such as 0.99, of a moving average of the weights, which is saved instead of them; 0
    for none."""

    seed: int = 0
    """Seed of weights, order and augmentation."""

    tune: int = Field(0, ge=0)
    """Number of trials that search for the best learning rate, loss, class weights and smoothing
    first; needs geoseg[tune]."""
