"""Fit a model to training chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from geoseg.errors import ChipsError
from geoseg.options import Options

if TYPE_CHECKING:
    from geoseg.chips import ChipSet
    from geoseg.models.fit import Recipe

MAX_CLASS_WEIGHT = 10.0
OUTPUTS = ("model.safetensors", "spec.json", "metrics.csv")


class TrainOptions(Options):
    """Options of `train`."""

    architecture: Literal["unet", "deeplabv3+", "fcn", "upernet", "segformer"] = "unet"
    """Network."""

    backbone: str = "resnet18"
    """Encoder: any of segmentation-models-pytorch, or "tu-" and the name of a timm model."""

    loss: Literal["ce", "dice", "ce+dice"] = "ce+dice"
    """Cross-entropy, Dice, or their sum."""

    class_weights: Literal["none", "sqrt", "balanced"] = "sqrt"
    """Weight of rare classes in the cross-entropy: none, root of the inverse frequency, inverse."""

    epochs: int = Field(60, ge=1)
    """Epochs, at most."""

    patience: int = Field(15, ge=1)
    """Epochs without a better validation mIoU after which training stops."""

    batch: int = Field(8, ge=2)
    """Chips per step."""

    fold: int | None = Field(None, ge=1)
    """Which fold of the chips validates, where they have folds; the first by default."""

    sampling: Literal["uniform", "balanced", "hard"] = "uniform"
    """How training chips are drawn: all alike, a class first and then one of its pixels, or by
    what they cost when they were last seen."""

    crop: int | None = Field(None, ge=32, multiple_of=32)
    """Side in pixels of what the network sees of the training chips at a time; the chips' own by
    default."""

    shift: bool = True
    """Let training crops begin anywhere, also across the borders of chips."""

    workers: int = Field(0, ge=0)
    """Processes that read chips; 0 reads them in this one."""

    lr: float = Field(1e-3, gt=0)
    """Peak learning rate."""

    augment: bool = True
    """Flip and turn training chips."""

    seed: int = 0
    """Seed of weights, order and augmentation."""


def train(chips: str | Path, out: str | Path, *, options: TrainOptions | None = None) -> Path:
    """Fit a torchgeo segmentation network to chips.

    A run that was killed goes on from its last epoch when the same call is made again.

    Args:
        chips: a chip directory.
        out: the model directory to write.
        options: network, loss, length.

    Returns:
        The model directory: model.safetensors, spec.json, metrics.csv, run.json.

    Raises:
        ChipsError: the chips cannot be trained on.
        ModelError: the backbone is unknown.
    """
    from geoseg.chips import open_chips
    from geoseg.chips.store import FILES
    from geoseg.job import open_run

    options = options or TrainOptions()
    folder = Path(out)
    chip_set = open_chips(Path(chips), options.fold)
    _check(chip_set)
    inputs = [chip_set.folder / name for name in FILES]
    resolved = options.model_dump(mode="json", exclude={"workers"})
    with open_run("train", folder, inputs=inputs, options=resolved, outputs=OUTPUTS) as run:
        if not run.done:
            run.counts = _train(chip_set, folder, run.work, options)
            run.finish()
    return folder


def _train(
    chips: ChipSet, folder: Path, work: Path, options: TrainOptions
) -> dict[str, int | float]:
    import torch

    from geoseg import memory
    from geoseg.job.record import versions
    from geoseg.models.fit import fit
    from geoseg.models.networks import build, halo_of, stride_of
    from geoseg.models.spec import ModelSpec
    from geoseg.models.store import save_model

    chips.verify()
    spec = chips.spec
    recipe = _recipe(chips, options)
    torch.manual_seed(options.seed)
    network = build(options.architecture, options.backbone, len(spec.bands), recipe.classes)
    train_set, val_set = _batches(chips, options)
    order = train_set.sampler
    learn = order.learn if options.sampling == "hard" else None
    with memory.returned():
        memory.keep(freed=True)  # batches and activations are as large as those before
        metrics = fit(network, train_set, val_set, recipe, work, folder, learn=learn)
    save_model(
        folder,
        network,
        ModelSpec(
            architecture=options.architecture,
            backbone=options.backbone,
            bands=tuple(band.name for band in spec.bands),
            dtype=spec.dtype,
            mean=recipe.mean,
            std=recipe.std,
            gsd_m=spec.gsd_m,
            scheme=spec.scheme,
            stride=stride_of(network),
            halo=halo_of(network),
            weights_sha256="",
            metrics=metrics,
            versions=versions(),
        ),
    )
    counts = {split: len(chips.positions(split)) for split in ("train", "val")}
    return {**counts, **metrics}


def _recipe(chips: ChipSet, options: TrainOptions) -> Recipe:
    from geoseg.models.fit import Recipe

    bands = chips.spec.bands
    return Recipe(
        mean=tuple(band.mean for band in bands),
        std=tuple(band.std for band in bands),
        classes=len(chips.spec.scheme.classes),
        class_weights=_weights(chips.spec.pixels["train"], options.class_weights),
        **options.model_dump(include={"loss", "lr", "epochs", "patience", "augment", "seed"}),
    )


def _weights(pixels: tuple[int, ...], rule: str) -> tuple[float, ...]:
    """Class weights from training pixels; a class without any has weight 0."""
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[rule]
    even = sum(pixels) / len(pixels)
    return tuple(min((even / n) ** power, MAX_CLASS_WEIGHT) if n else 0.0 for n in pixels)


def _batches(chips: ChipSet, options: TrainOptions) -> tuple[Any, Any]:
    """The loaders of training and validation; small sets are gone through several times."""
    from geoseg.chips.loader import loader
    from geoseg.chips.order import Batches
    from geoseg.models.fit import STEPS_PER_EPOCH

    count = len(chips.positions("train"))
    batch = min(options.batch, count)
    drawn = Batches(
        batch=batch,
        steps=max(count // batch, STEPS_PER_EPOCH),
        side=options.crop,
        sampling=options.sampling,
        shift=options.shift,
        seed=options.seed,
        workers=options.workers,
    )
    in_order = Batches(batch=options.batch, workers=options.workers)
    return loader(chips, "train", drawn), loader(chips, "val", in_order)


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
