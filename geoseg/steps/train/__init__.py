"""Train a model on chips."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg import layout
from geoseg.errors import ChipsError
from geoseg.layout import CHIP_FILES, CURVES, EXAMPLES, METRICS, MODEL_SPEC, WEIGHTS
from geoseg.steps.train.applicable import require_applicable
from geoseg.steps.train.options import TrainOptions

if TYPE_CHECKING:
    from geoseg.chips import ChipSet
    from geoseg.job import Inputs, Run
    from geoseg.raster import RasterSource

__all__ = ["TrainOptions", "train"]

OUTPUTS = (WEIGHTS, MODEL_SPEC, METRICS)
PICTURES = (CURVES, EXAMPLES)

logger = logging.getLogger(__name__)


def train(chips: str | Path, out: str | Path, *, options: TrainOptions | None = None) -> Path:
    """Train a segmentation network, a forest, an SVM or a threshold on chips.

    After a crash the same call continues from the last epoch, and ends with the weights of an
    undisturbed run.

    Args:
        chips: chip directory.
        out: model directory to write.
        options: architecture, loss, length of training and more.

    Returns:
        The model directory: model.safetensors, spec.json, metrics.csv, run.json, and for networks
        curves.png and examples.png. With all folds: model directories fold-1, fold-2 ..., and
        folds.json.

    Raises:
        ChipsError: the chips cannot be trained on; or unlabelled scenes differ from theirs, or
            overlap val and test chips everywhere.
        ConfigError: an option does not apply to the architecture; weights are not on this machine,
            or do not fit the network; or optuna is needed and not installed.
        ModelError: the backbone is unknown, or a file of weights is damaged.
        RasterError: an unlabelled scene cannot be read.

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
        raise ChipsError(
            "has no folds", where=chips, fix="leave out --fold, or cut chips with --folds"
        )
    models = [layout.fold(folder, number) for number in range(1, folds + 1)]
    for number, model in enumerate(models, 1):
        _train_one(open_chips(Path(chips), number), model, options)
    scores = write_folds(folder, models)
    logger.info("validation mIoU of %d folds: %.3f, sd %.3f", folds, scores.mean, scores.sd)
    return folder


def _train_one(chips: ChipSet, folder: Path, options: TrainOptions) -> None:
    from geoseg.job import open_run
    from geoseg.steps.train.unlabelled_scenes import open_unlabelled

    _require_trainable(chips)
    scenes = open_unlabelled(chips, options.unlabelled)
    inputs: Inputs = {
        "chips": [chips.folder / name for name in CHIP_FILES],
        "weights": _weights_files(options),
        **{f"unlabelled scene {number}": each.paths for number, each in enumerate(scenes, 1)},
    }
    # the number of readers does not change the weights, so a resumed run may have another
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
    from geoseg.chips.unlabelled_areas import find_unlabelled_areas
    from geoseg.steps.train.fit_network import fit_network

    areas = find_unlabelled_areas(chips, scenes) if scenes else None
    if areas:
        run.require_space(areas.bytes_needed(chips))
    return fit_network(chips, areas, run.folder, run.work, options)


def _outputs(options: TrainOptions) -> tuple[str, ...]:
    if options.architecture == "threshold":
        return OUTPUTS[1:]
    return OUTPUTS if options.architecture in ("forest", "svm") else (*OUTPUTS, *PICTURES)


def _weights_files(options: TrainOptions) -> list[Path]:
    """The file of initial weights, which is an input like the chips."""
    from geoseg.models.fit.starting_point import file_of

    return [file_of(options.weights, options.weights_folder)] if options.weights else []


def _require_trainable(chips: ChipSet) -> None:
    if len(chips.spec.scheme.classes) < 2:
        raise ChipsError(
            "a map needs at least two classes",
            where=chips.folder,
            got=chips.spec.scheme.names,
            fix="add the class of everything else, and outside: <its name>, to the class file",
        )
    for split in ("train", "val"):
        if not len(chips.positions(split)):
            raise ChipsError(f"has no chips in the {split} split", where=chips.folder)
