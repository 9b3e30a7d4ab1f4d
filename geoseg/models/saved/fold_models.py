"""A directory with one model per fold of the chips."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import mean, stdev

from pydantic import BaseModel, ConfigDict, ValidationError

from geoseg import files
from geoseg.errors import ModelError
from geoseg.layout import FOLDS, MODEL_SPEC, folds
from geoseg.models.saved.spec import read_spec


class FoldScores(BaseModel):
    """Validation scores of the folds.

    Attributes:
        val_miou: validation mIoU of each fold, in order.
        mean: mean over the folds.
        sd: standard deviation over the folds, with n - 1.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    val_miou: tuple[float, ...]
    mean: float
    sd: float


def members(folder: Path) -> list[Path]:
    """List the models of a directory: itself, or its folds in order."""
    found = folds(folder)
    return [folder] if (folder / MODEL_SPEC).exists() or not found else found


def write_folds(folder: Path, folds: Sequence[Path]) -> FoldScores:
    """Write folds.json from the specs of two or more folds.

    Raises:
        ModelError: a fold is not a model directory.
    """
    found = [float(read_spec(fold).metrics["val_miou"] or 0) for fold in folds]
    scores = FoldScores(
        val_miou=tuple(found), mean=round(mean(found), 6), sd=round(stdev(found), 6)
    )
    files.write_json(folder / FOLDS, scores.model_dump())
    return scores


def read_folds(folder: Path) -> FoldScores | None:
    """Read the scores of a directory of folds; None while their training has not finished.

    Raises:
        ModelError: folds.json is damaged.
    """
    try:
        return FoldScores.model_validate_json((folder / FOLDS).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ModelError(
            "does not hold the scores of the folds", where=folder / FOLDS, got=error,
            fix="train again: geoseg train --fold all",
        ) from error  # fmt: skip
