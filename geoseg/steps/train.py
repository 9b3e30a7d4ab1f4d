"""Fit a model to training chips."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from geoseg.errors import ChipsError
from geoseg.options import Options

if TYPE_CHECKING:
    from geoseg.chips import ChipSet
    from geoseg.chips.store import SplitName
    from geoseg.models.fit import Recipe, Samples

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
    chip_set = open_chips(Path(chips))
    _check(chip_set)
    inputs = [chip_set.folder / name for name in FILES]
    resolved = options.model_dump(mode="json")
    with open_run("train", folder, inputs=inputs, options=resolved, outputs=OUTPUTS) as run:
        if not run.done:
            run.counts = _train(chip_set, folder, run.work, options)
            run.finish()
    return folder


def _train(
    chips: ChipSet, folder: Path, work: Path, options: TrainOptions
) -> dict[str, int | float]:
    import torch

    from geoseg.job.record import versions
    from geoseg.models.fit import fit
    from geoseg.models.networks import build, halo_of, stride_of
    from geoseg.models.spec import ModelSpec
    from geoseg.models.store import save_model

    spec = chips.spec
    recipe = _recipe(chips, options)
    torch.manual_seed(options.seed)
    network = build(options.architecture, options.backbone, len(spec.bands), recipe.classes)
    train_set, val_set = _samples(chips, "train"), _samples(chips, "val")
    metrics = fit(network, train_set, val_set, recipe, work, folder)
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
    return {"train": len(train_set.positions), "val": len(val_set.positions), **metrics}


def _recipe(chips: ChipSet, options: TrainOptions) -> Recipe:
    from geoseg.models.fit import Recipe

    bands = chips.spec.bands
    return Recipe(
        mean=tuple(band.mean for band in bands),
        std=tuple(band.std for band in bands),
        classes=len(chips.spec.scheme.classes),
        class_weights=_weights(chips.spec.pixels["train"], options.class_weights),
        **options.model_dump(
            include={"loss", "lr", "batch", "epochs", "patience", "augment", "seed"}
        ),
    )


def _weights(pixels: tuple[int, ...], rule: str) -> tuple[float, ...]:
    """Class weights from training pixels; a class without any has weight 0."""
    power = {"none": 0.0, "sqrt": 0.5, "balanced": 1.0}[rule]
    even = sum(pixels) / len(pixels)
    return tuple(min((even / n) ** power, MAX_CLASS_WEIGHT) if n else 0.0 for n in pixels)


def _samples(chips: ChipSet, split: SplitName) -> Samples:
    from geoseg.models.fit import Samples

    return Samples(chips.images, chips.valid, chips.labels, chips.positions(split))


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
