"""Search for options by a series of short trainings."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg import files
from geoseg.errors import ConfigError
from geoseg.steps.train.options import TrainOptions

if TYPE_CHECKING:
    from optuna import Trial

SHORTER = 4
"""A trial has this fraction of the epochs: 1/4."""

logger = logging.getLogger(__name__)


def tuned(
    options: TrainOptions, score: Callable[[TrainOptions, Path], float], work: Path
) -> TrainOptions:
    """Search for the learning rate, loss, class weights and smoothing that score best.

    optuna's tree-structured Parzen estimator (Bergstra et al., 2011) proposes trials from the seed
    and the scores so far. A search that was killed therefore proposes the same ones again, and
    takes the scores of finished trials from their notes.

    Args:
        options: number of trials, and all other options.
        score: trains with options, in a folder, and returns a score; higher is better.
        work: folder for the trials.

    Returns:
        The options with the best values found.

    Raises:
        ConfigError: optuna is not installed.
    """
    if find_spec("optuna") is None:
        raise ConfigError(
            "optuna is not installed", where="--tune",
            fix="pip install 'geoseg[tune]', or leave out --tune",
        )  # fmt: skip
    import optuna

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    short = options.model_copy(update={"epochs": max(1, options.epochs // SHORTER)})

    def attempt(trial: Trial) -> float:
        proposed = short.model_copy(update=_proposal(trial))
        return _once(work / f"trial-{trial.number + 1}", lambda place: score(proposed, place))

    # optuna keeps no files here: the notes of trials are enough to repeat a search
    sampler = optuna.samplers.TPESampler(seed=options.seed)
    study = optuna.create_study(direction="maximize", sampler=sampler)
    study.optimize(attempt, n_trials=options.tune)
    logger.info(
        "best of %d trials: %s, mIoU %.3f", options.tune, study.best_params, study.best_value
    )
    return options.model_copy(update=study.best_params)


def _proposal(trial: Trial) -> dict[str, Any]:
    return {
        "lr": trial.suggest_float("lr", 1e-4, 1e-2, log=True),
        "loss": trial.suggest_categorical("loss", ["ce+dice", "ce", "focal", "ce+lovasz"]),
        "class_weights": trial.suggest_categorical("class_weights", ["none", "sqrt", "balanced"]),
        "label_smoothing": trial.suggest_categorical("label_smoothing", [0.0, 0.05, 0.1]),
    }


def _once(place: Path, score: Callable[[Path], float]) -> float:
    note = place.with_suffix(".json")
    if note.exists():
        return float(json.loads(note.read_bytes()))
    found = score(place)
    files.write_json(note, found)
    files.remove(place)
    return found
