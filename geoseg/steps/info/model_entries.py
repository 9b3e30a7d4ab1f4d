"""The entry of a model directory: one model, or one for each fold of its chips."""

from __future__ import annotations

from pathlib import Path

from geoseg import files, layout
from geoseg.layout import FOLDS, MODEL_SPEC, WEIGHTS
from geoseg.models.saved.fold_models import FoldScores, members, read_folds
from geoseg.models.saved.spec import ModelSpec
from geoseg.problems import Problem, worst_first
from geoseg.steps.info.entry import Entry, class_rows, entry


def model_entry(path: Path) -> Entry:
    """Describe a model directory or an ONNX file by its spec.

    Raises:
        ModelError: the spec cannot be read.
    """
    from geoseg.models.saved_model import spec_of

    spec = spec_of(path)
    return entry(
        path,
        "model",
        _weights_problem(path, spec),
        bands=len(spec.bands),
        dtype=spec.dtype,
        band_names=list(spec.bands),
        gsd_m=spec.gsd_m,
        architecture=spec.architecture,
        backbone=spec.backbone,
        origin=spec.origin,
        licence=spec.licence,
        stride=spec.stride,
        halo=spec.halo,
        classes=class_rows(spec.scheme),
        metrics=dict(spec.metrics),
        versions=dict(spec.versions),
    )


def folds_entry(path: Path) -> Entry:
    """Describe a directory of folds by the spec of the first one and the scores of each.

    Args:
        path: the directory; at least one of its folds is a model.

    Raises:
        ModelError: the spec of a fold, or folds.json, cannot be read.
    """
    models = [fold for fold in members(path) if (fold / MODEL_SPEC).is_file()]
    looked = {fold.name: model_entry(fold) for fold in models}
    found = [row.about(name) for name, each in looked.items() for row in each["problems"]]
    scores = read_folds(path)
    metrics = {} if scores is None else {"val_miou_mean": scores.mean, "val_miou_sd": scores.sd}
    folds = [{"name": name, "metrics": each["metrics"]} for name, each in looked.items()]
    described = {"path": str(path), "metrics": metrics, "folds": folds}
    first = next(iter(looked.values()))
    return (
        first
        | described
        | {"problems": worst_first([*found, *_incomplete(path, scores, list(looked))])}
    )


def _weights_problem(path: Path, spec: ModelSpec) -> list[Problem]:
    if spec.threshold and not spec.weights_sha256:
        return []  # a thresholded index is all in the spec
    from geoseg.models.saved_model import weights_of

    if not weights_of(path).is_file():
        return [Problem("no-weights", "error", f"{WEIGHTS} is not there", "copy the model again")]
    if files.sha256(weights_of(path)) != spec.weights_sha256:
        text = f"{WEIGHTS} is not the file that the spec belongs to"
        return [Problem("damaged", "error", text, "copy the model again")]
    return []


def _incomplete(path: Path, scores: FoldScores | None, there: list[str]) -> list[Problem]:
    if scores is None:
        text = f"no {FOLDS}: the training of all folds has not finished"
        return [Problem("unfinished", "warning", text, "run the same command again")]
    wanted = [layout.fold(path, number).name for number in range(1, len(scores.val_miou) + 1)]
    lost = [name for name in wanted if name not in there]
    if not lost:
        return []
    text = f"{', '.join(lost)} is not there"
    return [Problem("fold-missing", "error", text, "copy the model again")]
