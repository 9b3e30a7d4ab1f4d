"""Models that look at single pixels: forest, SVM, threshold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.chips import ChipSet
from geoseg.chips.chip_arrays import Samples
from geoseg.job.record import versions
from geoseg.models.pixelwise import features
from geoseg.models.pixelwise.learn import learn
from geoseg.models.saved.spec import ModelSpec

if TYPE_CHECKING:
    from geoseg.steps.train import TrainOptions


def fit_pixels(chips: ChipSet, folder: Path, options: TrainOptions) -> dict[str, int | float]:
    """Fit one to chips, and write the model directory.

    Returns:
        What goes into the record: chips by split, and validation metrics.
    """
    spec = chips.spec
    train_set, val_set = (
        Samples(chips.images, chips.valid, chips.labels, chips.positions(split))
        for split in ("train", "val")
    )
    index = options.architecture == "threshold"
    model = ModelSpec(
        architecture=options.architecture,
        bands=tuple(band.name for band in spec.bands),
        dtype=spec.dtype,
        mean=tuple(band.mean for band in spec.bands),
        std=tuple(band.std for band in spec.bands),
        gsd_m=spec.gsd_m,
        scheme=spec.scheme,
        stride=1 if index else features.stride_of(options.features),
        halo=0 if index else features.halo_of(options.features),
        window=features.TEXTURE_WINDOW if options.features == "texture" and not index else None,
        features=None if index else options.features,
        versions=versions(),
    )
    metrics = learn(train_set, val_set, model, options.index, options.seed, folder)
    return {"train": len(train_set.positions), "val": len(val_set.positions), **metrics}
