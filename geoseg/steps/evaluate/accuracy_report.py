"""What was counted as the JSON value that `evaluate` returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from geoseg import accuracy
from geoseg.accuracy import Confusion, Floats, Matrix
from geoseg.accuracy.bootstrap import REPLICATES, Blocks, intervals
from geoseg.accuracy.calibration import reliability
from geoseg.accuracy.stratified import Z95, Estimate, estimate
from geoseg.classes import ClassScheme
from geoseg.samples.read_sample import Points
from geoseg.steps.evaluate import EvaluateOptions
from geoseg.steps.evaluate.compare import Comparison, SceneCount, total

SCORES = ("iou", "f1", "precision", "recall")
FEW_BLOCKS = 10
NOT_DRAWN = (
    "the truth is no random sample of the map: the figures hold for the pixels that were compared, "
    "and say nothing certain about the rest; geoseg evaluate MAP --draw-sample 500 draws one"
)


def report_of(comparison: Comparison, options: EvaluateOptions) -> dict[str, Any]:
    """All that a comparison says."""
    scenes, scheme = comparison.scenes, comparison.scheme
    confusion, area = total(scenes)
    return {
        **scored(confusion, confusion, scheme),
        "confusion_m2": _plain_all(area),
        "boundary": _boundary(scenes, scheme, options.boundary),
        "objects": _objects(comparison),
        "intervals": _intervals(comparison, options.seed),
        "calibration": _calibration(scenes),
        "scenes": [_scene(each) for each in scenes],
        "blocks": [row for each in scenes for row in _blocks(each, len(scheme.classes))],
        "warnings": _cautions(scenes),
    }


def _cautions(scenes: Sequence[SceneCount]) -> list[str]:
    """What makes a comparison less than it seems."""
    blocks = sum(len(each.blocks) for each in scenes)
    cautions = [] if all(each.whole for each in scenes) else [NOT_DRAWN]
    if blocks < FEW_BLOCKS:
        cautions.append(f"intervals of {blocks} blocks are a hint at best; they want 10 and more")
    return cautions


def scored(matrix: Matrix, counts: Confusion, scheme: ClassScheme) -> dict[str, Any]:
    """Scores of a confusion matrix.

    Args:
        matrix: what the scores are taken of: pixels, or shares of the map.
        counts: (classes, classes) what was counted.
        scheme: the classes.
    """
    found, always = accuracy.scores(matrix), accuracy.majority(matrix)
    return {
        "miou": plain(found.miou),
        "overall_accuracy": plain(accuracy.overall(matrix)),
        "n_pixels": int(counts.sum()),
        "classes": [
            {
                "id": index,
                "name": name,
                **{column: plain(getattr(found, column)[index]) for column in SCORES},
                "support": int(counts[index].sum()),
            }
            for index, name in enumerate(scheme.names)
        ],
        "confusion": counts.tolist(),
        "majority": {
            "name": scheme.names[int(always.sum(axis=0).argmax())],
            "miou": plain(accuracy.scores(always).miou),
            "overall_accuracy": plain(accuracy.overall(always)),
        },
    }


def plain(value: float, digits: int = 6) -> float | None:
    """A rounded number; None for NaN, which JSON does not know."""
    return None if np.isnan(value) else round(float(value), digits)


def _plain_all(matrix: Floats) -> list[list[float | None]]:
    return [[plain(value, 3) for value in row] for row in matrix]


def _boundary(scenes: Sequence[SceneCount], scheme: ClassScheme, width: int) -> dict[str, Any]:
    outlines = reduce(add, (each.outlines for each in scenes))
    iou = outlines.iou
    rows = zip(scheme.names, iou, outlines.truth.tolist(), strict=True)
    return {
        "width_px": width,
        "miou": plain(_mean(iou)),
        "classes": [
            {"name": name, "iou": plain(value), "support": support} for name, value, support in rows
        ],
    }


def _mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _objects(comparison: Comparison) -> list[dict[str, Any]]:
    found = reduce(add, (each.objects for each in comparison.scenes))
    return [
        {
            "name": comparison.scheme.names[i],
            **{key: plain(getattr(found, key)[i]) for key in ("precision", "recall", "f1")},
            **{key: plain(getattr(found, key)[i]) for key in ("sq", "pq")},
            **{key: int(getattr(found, key)[i]) for key in ("matched", "missed", "invented")},
            "support": int(found.matched[i] + found.missed[i]),
        }
        for i in comparison.countable
    ]


def _intervals(comparison: Comparison, seed: int) -> dict[str, Any]:
    blocks = [block for each in comparison.scenes for block in each.blocks]
    numbers = np.repeat(np.arange(len(blocks)), [len(each.pairs) for each in blocks])
    pairs = np.concatenate([each.pairs for each in blocks])
    counts = np.concatenate([each.counts for each in blocks])
    classes = len(comparison.scheme.classes)
    found = intervals(Blocks(numbers, pairs, counts), classes, seed=seed)
    return {
        "level": 0.95,
        "blocks": len(blocks),
        "block_px": comparison.block_px,
        "replicates": REPLICATES,
        "seed": seed,
        "miou": _pair(found.miou),
        "overall_accuracy": _pair(found.overall),
        "classes": [
            {"name": name, **{key: _pair(getattr(found, key)[:, i]) for key in SCORES}}
            for i, name in enumerate(comparison.scheme.names)
        ],
    }


def _pair(ends: Iterable[float]) -> list[float | None]:
    return [plain(end) for end in ends]


def _calibration(scenes: Sequence[SceneCount]) -> dict[str, Any] | None:
    tallies = [each.tallied for each in scenes if each.tallied is not None]
    if not tallies:
        return None
    found = reliability(np.sum(tallies, axis=0))
    rows = zip(found.confidence, found.accuracy, found.pixels.tolist(), strict=True)
    return {
        "ece": plain(found.ece),
        "n_pixels": int(found.pixels.sum()),
        "bins": [
            {"confidence": plain(said), "accuracy": plain(right), "n_pixels": pixels}
            for said, right, pixels in rows
        ],
    }


def _scene(scene: SceneCount) -> dict[str, Any]:
    found = accuracy.scores(scene.confusion)
    return {
        "map": scene.path.as_posix(),
        "n_pixels": int(scene.confusion.sum()),
        "miou": plain(found.miou),
        "overall_accuracy": plain(accuracy.overall(scene.confusion)),
        "iou": [plain(value) for value in found.iou],
    }


def _blocks(scene: SceneCount, classes: int) -> Iterable[dict[str, Any]]:
    for each in scene.blocks:
        confusion = np.zeros(classes * classes, dtype=np.int64)
        confusion[each.pairs] = each.counts
        square = confusion.reshape(classes, classes)
        yield {
            "map": scene.path.as_posix(),
            "row": each.window.row,
            "col": each.window.col,
            "n_pixels": int(each.counts.sum()),
            "miou": plain(accuracy.scores(square).miou),
            "overall_accuracy": plain(accuracy.overall(square)),
        }


def sample_report(points: Points) -> dict[str, Any]:
    """All that a sample says; scores are those of the whole map, not of the points."""
    total_m2 = float(points.area_m2.sum())
    found = estimate(points.counts, points.area_m2 / total_m2)
    margin = Z95 * found.overall_se
    names = points.scheme.names
    return {
        **scored(found.proportions, points.counts, points.scheme),
        "confusion_m2": _plain_all(found.proportions * total_m2),
        "sample": {
            "points": int(points.counts.sum()),
            "not_filled": points.drawn - int(points.counts.sum()),
            "total_m2": plain(total_m2, 3),
            "overall_accuracy_se": plain(found.overall_se),
            "overall_accuracy_interval": _pair((found.overall - margin, found.overall + margin)),
            "classes": [_estimated(found, i, name, points) for i, name in enumerate(names)],
        },
        "warnings": _doubts(points),
    }


def _estimated(found: Estimate, index: int, name: str, points: Points) -> dict[str, Any]:
    total_m2 = float(points.area_m2.sum())
    area_m2, se_m2 = found.area[index] * total_m2, found.area_se[index] * total_m2
    ends = area_m2 - Z95 * se_m2, area_m2 + Z95 * se_m2
    keys = ("users", "users_se", "producers", "producers_se")
    return {
        "name": name,
        "points": int(points.counts[:, index].sum()),
        "mapped_m2": plain(points.area_m2[index], 3),
        "area_m2": plain(area_m2, 3),
        "area_se_m2": plain(se_m2, 3),
        "area_interval_m2": [plain(end, 3) for end in ends],
        **{key: plain(getattr(found, key)[index]) for key in keys},
    }


def _doubts(points: Points) -> list[str]:
    """What makes a sample less than it seems."""
    filled, doubts = points.counts.sum(axis=0), []
    if missing := points.drawn - int(filled.sum()):
        doubts.append(
            f"{missing} of {points.drawn} points are not filled in: the figures are right only if "
            "these are no different from the others"
        )
    thin = [
        name
        for name, count, area in zip(points.scheme.names, filled, points.area_m2, strict=True)
        if area > 0 and count < 2
    ]
    if thin:
        doubts.append(f"less than two points are filled in on {', '.join(thin)}: nothing follows")
    return doubts
