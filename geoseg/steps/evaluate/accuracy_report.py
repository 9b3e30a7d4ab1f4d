"""The accuracy report: the JSON value that `evaluate` returns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import reduce
from operator import add
from typing import Any

import numpy as np

from geoseg import accuracy
from geoseg.accuracy import Confusion, Floats, Matrix
from geoseg.accuracy.bootstrap import REPLICATES, Blocks, intervals
from geoseg.accuracy.reliability import reliability
from geoseg.accuracy.stratified import Z95, Estimate, estimate
from geoseg.classes import ClassScheme
from geoseg.samples.read_sample import FilledSample
from geoseg.steps.evaluate.compare import Comparison, MapCounts, total
from geoseg.steps.evaluate.options import EvaluateOptions

SCORES = ("iou", "f1", "precision", "recall")
FEW_BLOCKS = 10
"""A bootstrap of fewer blocks repeats the same few draws."""
NOT_A_SAMPLE = (
    "the truth is not a random sample of the map: the figures hold for the compared pixels only, "
    "and may differ elsewhere; geoseg evaluate MAP --draw-sample 500 draws a sample"
)


def labels_report(comparison: Comparison, options: EvaluateOptions) -> dict[str, Any]:
    """The report of maps compared with labels."""
    maps, scheme = comparison.maps, comparison.scheme
    confusion, area = total(maps)
    return {
        **_scored(confusion, confusion, scheme),
        "confusion_m2": _rounded_rows(area),
        "boundary": _boundary(maps, scheme, options.boundary),
        "objects": _objects(comparison),
        "intervals": _intervals(comparison, options.seed),
        "calibration": _calibration(maps),
        "scenes": [_map_scores(each) for each in maps],
        "blocks": [row for each in maps for row in _blocks(each, len(scheme.classes))],
        "warnings": _label_warnings(maps),
    }


def _label_warnings(maps: Sequence[MapCounts]) -> list[str]:
    """Reasons to take the figures with caution."""
    blocks = sum(len(each.blocks) for each in maps)
    warnings = [] if all(each.whole for each in maps) else [NOT_A_SAMPLE]
    if blocks < FEW_BLOCKS:
        warnings.append(
            f"intervals from {blocks} blocks are a rough guide only; they need 10 or more"
        )
    return warnings


def _scored(matrix: Matrix, counts: Confusion, scheme: ClassScheme) -> dict[str, Any]:
    """The part of the report that labels and samples share.

    Args:
        matrix: (classes, classes) pixels or shares of the map, to score.
        counts: (classes, classes) pixels or points that were counted.
        scheme: the classes.
    """
    found, always = accuracy.scores(matrix), accuracy.majority(matrix)
    return {
        "miou": _rounded(found.miou),
        "overall_accuracy": _rounded(accuracy.overall(matrix)),
        "n_pixels": int(counts.sum()),
        "classes": [
            {
                "id": index,
                "name": name,
                **{column: _rounded(getattr(found, column)[index]) for column in SCORES},
                "support": int(counts[index].sum()),
            }
            for index, name in enumerate(scheme.names)
        ],
        "confusion": counts.tolist(),
        "majority": {
            "name": scheme.names[int(always.sum(axis=0).argmax())],
            "miou": _rounded(accuracy.scores(always).miou),
            "overall_accuracy": _rounded(accuracy.overall(always)),
        },
    }


def _rounded(value: float, digits: int = 6) -> float | None:
    """Round a number; None for NaN, which JSON cannot hold."""
    return None if np.isnan(value) else round(float(value), digits)


def _rounded_rows(matrix: Floats) -> list[list[float | None]]:
    return [[_rounded(value, 3) for value in row] for row in matrix]


def _boundary(maps: Sequence[MapCounts], scheme: ClassScheme, width: int) -> dict[str, Any]:
    outlines = reduce(add, (each.outlines for each in maps))
    iou = outlines.iou
    rows = zip(scheme.names, iou, outlines.truth.tolist(), strict=True)
    return {
        "width_px": width,
        "miou": _rounded(_mean(iou)),
        "classes": [
            {"name": name, "iou": _rounded(value), "support": support}
            for name, value, support in rows
        ],
    }


def _mean(values: Floats) -> float:
    defined = values[~np.isnan(values)]
    return float(defined.mean()) if len(defined) else float("nan")


def _objects(comparison: Comparison) -> list[dict[str, Any]]:
    found = reduce(add, (each.objects for each in comparison.maps))
    return [
        {
            "name": comparison.scheme.names[i],
            **{key: _rounded(getattr(found, key)[i]) for key in ("precision", "recall", "f1")},
            **{key: _rounded(getattr(found, key)[i]) for key in ("sq", "pq")},
            **{key: int(getattr(found, key)[i]) for key in ("matched", "missed", "invented")},
            "support": int(found.matched[i] + found.missed[i]),
        }
        for i in comparison.countable
    ]


def _intervals(comparison: Comparison, seed: int) -> dict[str, Any]:
    blocks = [block for each in comparison.maps for block in each.blocks]
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
    return [_rounded(end) for end in ends]


def _calibration(maps: Sequence[MapCounts]) -> dict[str, Any] | None:
    tallies = [each.tallied for each in maps if each.tallied is not None]
    if not tallies:
        return None
    found = reliability(np.sum(tallies, axis=0))
    rows = zip(found.confidence, found.accuracy, found.pixels.tolist(), strict=True)
    return {
        "ece": _rounded(found.ece),
        "n_pixels": int(found.pixels.sum()),
        "bins": [
            {"confidence": _rounded(said), "accuracy": _rounded(right), "n_pixels": pixels}
            for said, right, pixels in rows
        ],
    }


def _map_scores(counts: MapCounts) -> dict[str, Any]:
    found = accuracy.scores(counts.confusion)
    return {
        "map": counts.path.as_posix(),
        "n_pixels": int(counts.confusion.sum()),
        "miou": _rounded(found.miou),
        "overall_accuracy": _rounded(accuracy.overall(counts.confusion)),
        "iou": [_rounded(value) for value in found.iou],
    }


def _blocks(counts: MapCounts, classes: int) -> Iterable[dict[str, Any]]:
    for each in counts.blocks:
        confusion = np.zeros(classes * classes, dtype=np.int64)
        confusion[each.pairs] = each.counts
        square = confusion.reshape(classes, classes)
        yield {
            "map": counts.path.as_posix(),
            "row": each.window.row,
            "col": each.window.col,
            "n_pixels": int(each.counts.sum()),
            "miou": _rounded(accuracy.scores(square).miou),
            "overall_accuracy": _rounded(accuracy.overall(square)),
        }


def sample_report(sample: FilledSample) -> dict[str, Any]:
    """The report of a filled-in sample; scores are estimates for the whole map."""
    total_m2 = float(sample.area_m2.sum())
    found = estimate(sample.counts, sample.area_m2 / total_m2, sample.pixels)
    margin = Z95 * found.overall_se
    names = sample.scheme.names
    return {
        **_scored(found.proportions, sample.counts, sample.scheme),
        "confusion_m2": _rounded_rows(found.proportions * total_m2),
        "sample": {
            "points": int(sample.counts.sum()),
            "not_filled": sample.drawn - int(sample.counts.sum()),
            "total_m2": _rounded(total_m2, 3),
            "overall_accuracy_se": _rounded(found.overall_se),
            "overall_accuracy_interval": _pair((found.overall - margin, found.overall + margin)),
            "classes": [_estimated(found, i, name, sample) for i, name in enumerate(names)],
        },
        "warnings": _sample_warnings(sample),
    }


def _estimated(found: Estimate, index: int, name: str, sample: FilledSample) -> dict[str, Any]:
    total_m2 = float(sample.area_m2.sum())
    area_m2, se_m2 = found.area[index] * total_m2, found.area_se[index] * total_m2
    ends = area_m2 - Z95 * se_m2, area_m2 + Z95 * se_m2
    keys = ("users", "users_se", "producers", "producers_se")
    return {
        "name": name,
        "points": int(sample.counts[:, index].sum()),
        "mapped_m2": _rounded(sample.area_m2[index], 3),
        "area_m2": _rounded(area_m2, 3),
        "area_se_m2": _rounded(se_m2, 3),
        "area_interval_m2": [_rounded(end, 3) for end in ends],
        **{key: _rounded(getattr(found, key)[index]) for key in keys},
    }


def _sample_warnings(sample: FilledSample) -> list[str]:
    """Reasons to take the figures with caution."""
    filled, warnings = sample.counts.sum(axis=0), []
    if missing := sample.drawn - int(filled.sum()):
        warnings.append(
            f"{missing} of {sample.drawn} points are not filled in: the figures assume that these "
            "are like the others"
        )
    thin = [
        name
        for name, count, area in zip(sample.scheme.names, filled, sample.area_m2, strict=True)
        if area > 0 and count < 2
    ]
    if thin:
        warnings.append(
            f"fewer than two points are filled in on {', '.join(thin)}: accuracy and area of these "
            "cannot be estimated"
        )
    return warnings
