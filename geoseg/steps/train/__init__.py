"""Fit a model to training chips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from geoseg.errors import ChipsError
from geoseg.models.fit.names import Loss, Schedule
from geoseg.options import Options
from geoseg.steps.train.applicable import require_applicable

if TYPE_CHECKING:
    from geoseg.chips import ChipSet
    from geoseg.job import Run
    from geoseg.raster import RasterSource

__all__ = ["TrainOptions", "train"]

OUTPUTS = ("model.safetensors", "spec.json", "metrics.csv")
PICTURES = ("curves.png", "examples.png")

logger = logging.getLogger(__name__)


class TrainOptions(Options):
    """Options of `train`.

    Example:
        >>> import geoseg
        >>> options = geoseg.TrainOptions(architecture="forest", seed=1)
        >>> geoseg.train("chips", "forest", options=options).name
        'forest'
    """

    architecture: Literal[
        "unet", "deeplabv3+", "fcn", "upernet", "segformer", "dpt", "unet++", "unet-scse", "manet",
        "fpn", "linknet", "pspnet", "deeplabv3", "linear", "forest", "svm", "threshold",
    ] = "unet"  # fmt: skip
    """Network; or random forest, linear SVM, or threshold on an index, which look at single
    pixels."""

    backbone: str | None = None
    """Encoder: any of segmentation-models-pytorch, "tu-" and the name of a timm model, or swin_*;
    that of the weights, or resnet18, when not given."""

    weights: str | None = None
    """What a network starts from: a name of `geoseg models list`, a file, or a model directory."""

    weights_folder: Path | None = None
    """Where `geoseg models fetch --to` put files of weights; torch's cache when not given."""

    scaling: Literal["weights", "chips"] = "weights"
    """Scale bands as the weights were trained, or by the chips' own mean and spread."""

    tuning: Literal["full", "frozen", "probe"] = "full"
    """What learns: all of a network, all but its encoder, or its last layer alone."""

    features: Literal["pixel", "texture", "superpixel"] = "pixel"
    """What a forest or an SVM sees: the bands, their texture too, or superpixels too."""

    index: Literal["ndvi", "ndwi", "mndwi", "ndmi", "ndbi", "nbr"] = "ndwi"
    """What a threshold is set on."""

    loss: Loss = "ce+dice"
    """Cross-entropy, Dice, focal, Lovasz, Tversky or Jaccard, or the sum of two."""

    unlabelled: tuple[str, ...] = ()
    """Scenes without labels, one after the other, to learn from too: where the fitted network is
    sure of a class, that becomes the label, and it is fitted anew."""

    confidence: float = Field(0.9, gt=0, lt=1)
    """Calibrated probability from which a class becomes the label of an unlabelled pixel."""

    edges: float = Field(0.0, ge=0)
    """Weight of a second loss: a head that is thrown away after training learns where classes
    meet; 0 for none."""

    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    """Weight of rare classes in the cross-entropy and the focal loss: none, root of the inverse
    frequency, inverse."""

    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share of a pixel's label that the cross-entropy spreads over all classes."""

    epochs: int = Field(60, ge=1)
    """Epochs, at most."""

    patience: int = Field(15, ge=1)
    """Epochs without a better validation mIoU after which training stops."""

    batch: int = Field(8, ge=2)
    """Chips per step, on each GPU."""

    accumulate: int = Field(1, ge=1)
    """Batches whose gradients are added up for one step, where memory is too small for a larger
    batch."""

    fold: Annotated[int, Field(ge=1)] | Literal["all"] | None = None
    """Which fold of the chips validates, where they have folds; the first by default. "all" fits a
    model for each, which together are one that averages."""

    sampling: Literal["uniform", "balanced", "hard"] = "uniform"
    """How training chips are drawn: all alike, a class first and then one of its pixels, or by
    what they cost when they were last seen."""

    crop: int | None = Field(None, ge=32, multiple_of=32)
    """Side in pixels of what the network sees of the training chips at a time; the chips' own by
    default."""

    workers: int = Field(0, ge=0)
    """Processes that read chips; 0 reads them in this one."""

    lr: Annotated[float, Field(gt=0)] | Literal["auto"] = 1e-3
    """Peak learning rate; "auto" finds one by a short trial."""

    schedule: Schedule = "one-cycle"
    """How the learning rate goes through the training."""

    ema: float = Field(0.0, ge=0, lt=1)
    """Keep a moving average of the weights with this decay, such as 0.99, and save that; 0 for
    none."""

    seed: int = 0
    """Seed of weights, order and augmentation."""

    tune: int = Field(0, ge=0)
    """Try this many sets of learning rate, loss, class weights and smoothing first, and take the
    best; needs geoseg[tune]."""


def train(chips: str | Path, out: str | Path, *, options: TrainOptions | None = None) -> Path:
    """Fit a torchgeo segmentation network, a forest, an SVM or a threshold to chips.

    A run that was killed goes on from its last epoch when the same call is made again, and gives
    the weights it would have given undisturbed.

    Args:
        chips: a chip directory.
        out: the model directory to write.
        options: network, loss, length.

    Returns:
        The model directory: model.safetensors, spec.json, metrics.csv, run.json, and of networks
        curves.png and examples.png. With all folds: fold-1, fold-2 ..., a model directory each,
        and folds.json.

    Raises:
        ChipsError: the chips cannot be trained on, or unlabelled scenes are not like theirs or lie
            on val and test ground only.
        ConfigError: an option was given that does nothing for the architecture; weights are not on
            this machine, or do not go with the network; or tuning was asked for, and optuna is not
            installed.
        ModelError: the backbone is unknown, or a file of weights is damaged.

    Example:
        >>> import geoseg
        >>> options = geoseg.TrainOptions(architecture="threshold", index="ndwi")
        >>> model = geoseg.train("chips", "model", options=options)
        >>> sorted(path.name for path in model.glob("*.json"))
        ['run.json', 'spec.json']
    """
    from geoseg.chips import open_chips
    from geoseg.models.saved.fold_models import write_folds

    options = options or TrainOptions()
    require_applicable(options)
    folder = Path(out)
    if options.fold != "all":
        _train_one(open_chips(Path(chips), options.fold), folder, options)
        return folder
    folds = len(open_chips(Path(chips)).spec.folds)
    if not folds:
        raise ChipsError("has no folds", where=chips, fix="cut chips with --folds, or no --fold")
    models = [folder / f"fold-{number}" for number in range(1, folds + 1)]
    for number, model in enumerate(models, 1):
        _train_one(open_chips(Path(chips), number), model, options)
    scores = write_folds(folder, models)
    logger.info("validation mIoU of %d folds: %.3f, sd %.3f", folds, scores.mean, scores.sd)
    return folder


def _train_one(chips: ChipSet, folder: Path, options: TrainOptions) -> None:
    from geoseg.chips.chip_set import FILES
    from geoseg.job import open_run
    from geoseg.steps.train.unlabelled_scenes import open_unlabelled

    _check(chips)
    scenes = open_unlabelled(chips, options.unlabelled)
    read = [path for scene in scenes for path in scene.paths]
    inputs = [*(chips.folder / name for name in FILES), *_weights_files(options), *read]
    resolved = options.model_dump(mode="json", exclude={"workers"}) | {"fold": chips.fold}
    with open_run(
        "train", folder, inputs=inputs, options=resolved, outputs=_outputs(options)
    ) as run:
        if run.done:
            return
        chips.verify()
        run.counts = _fit(chips, scenes, run, options)
        run.finish()


def _fit(
    chips: ChipSet, scenes: Sequence[RasterSource], run: Run, options: TrainOptions
) -> dict[str, float | None]:
    if options.architecture in ("forest", "svm", "threshold"):
        from geoseg.steps.train.fit_pixels import fit_pixels

        return {**fit_pixels(chips, run.folder, options)}
    from geoseg.chips.unlabelled_areas import free_ground
    from geoseg.steps.train.fit_network import fit_network

    ground = free_ground(chips, scenes) if scenes else None
    if ground:
        run.require_space(ground.needed(chips))
    return fit_network(chips, ground, run.folder, run.work, options)


def _outputs(options: TrainOptions) -> tuple[str, ...]:
    if options.architecture == "threshold":
        return OUTPUTS[1:]
    return OUTPUTS if options.architecture in ("forest", "svm") else (*OUTPUTS, *PICTURES)


def _weights_files(options: TrainOptions) -> list[Path]:
    """Files of weights that belong to what made a model."""
    from geoseg.models.fit.starting_point import file_of

    return [file_of(options.weights, options.weights_folder)] if options.weights else []


def _check(chips: ChipSet) -> None:
    if len(chips.spec.scheme.classes) < 2:
        raise ChipsError(
            "a map needs two classes or more",
            where=chips.folder,
            got=chips.spec.scheme.names,
            fix="add the class of everything else, and outside: <its name>, to the class file",
        )
    for split in ("train", "val"):
        if not len(chips.positions(split)):
            raise ChipsError(f"has no chips in the {split} split", where=chips.folder)
