"""Train pixelwise classifiers: forest, SVM, threshold."""

from __future__ import annotations

from pathlib import Path

from geoseg.chips import ChipSet
from geoseg.job.record import versions
from geoseg.models.pixelwise import features
from geoseg.models.pixelwise.learn import learn
from geoseg.models.saved.spec import ModelSpec
from geoseg.steps.train.options import TrainOptions


def fit_pixels(chips: ChipSet, folder: Path, options: TrainOptions) -> dict[str, int | float]:
    """Fit a classifier to chips, and write the model directory.

    Returns:
        Counts for the record: chips by split, and validation metrics.

    Raises:
        ChipsError: fewer than two classes have labelled pixels.
        ModelError: the index needs a band that the chips lack.
    """
    spec = chips.spec
    train, val = chips.arrays("train"), chips.arrays("val")
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
    metrics = learn(train, val, model, options.index, options.seed, folder)
    return {"train": len(train), "val": len(val), **metrics}
