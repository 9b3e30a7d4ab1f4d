"""The accuracy report as figures, table rows, matrix cells and dots of the page."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from geoseg.accuracy.stratified import Z95
from geoseg.report.number_text import percent, whole

MOST_CLASSES = 20
"""A larger confusion matrix does not fit the page."""
FEW_PIXELS = 30
"""Bins of fewer have no dot: their share of right pixels is mostly chance."""
SIDE = 200
"""Side of the reliability diagram, in units of its SVG."""


@dataclass(frozen=True)
class KeyFigure:
    """A number at the head of the section.

    Attributes:
        name: its name.
        value: the number as text.
        note: its interval, or a number to compare it with.
    """

    name: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class MatrixCell:
    """A cell of the confusion matrix.

    Attributes:
        text: percent of the true class.
        level: shade, 0 to 10.
        right: whether the cell is on the diagonal.
    """

    text: str
    level: int
    right: bool


@dataclass(frozen=True)
class AccuracyTables:
    """The section on accuracy.

    Attributes:
        figures: figures of the whole map.
        head: column names of `rows`.
        rows: a row for each class, its name first.
        cells: the confusion matrix, truth by row; empty for many classes.
        names: names of the classes.
        reliability: the reliability diagram; None for a map without confidence.
        warnings: reasons to take the figures with caution.
        sample: whether they come from a random sample of the map.
    """

    figures: tuple[KeyFigure, ...]
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    cells: tuple[tuple[MatrixCell, ...], ...]
    names: tuple[str, ...]
    reliability: ReliabilityDiagram | None
    warnings: tuple[str, ...]
    sample: bool


@dataclass(frozen=True)
class ReliabilityDiagram:
    """The reliability diagram, in units of its SVG.

    Attributes:
        error: expected calibration error as text.
        line: points of the polyline, "x,y x,y".
        dots: centre and radius of each dot; its area grows with the number of pixels.
    """

    error: str
    line: str
    dots: tuple[tuple[float, float, float], ...]


def accuracy_tables(report: Mapping[str, Any]) -> AccuracyTables:
    """Format an accuracy report for the page.

    Args:
        report: the value that `geoseg.evaluate` returned.
    """
    sample = "sample" in report
    names = tuple(str(each["name"]) for each in report["classes"])
    matrix = report.get("confusion_m2" if sample else "confusion") or []
    return AccuracyTables(
        figures=_figures(report),
        head=_SAMPLE_HEAD if sample else _HEAD,
        rows=_sample_rows(report["sample"]) if sample else _rows(report),
        cells=_cells(matrix) if len(names) <= MOST_CLASSES else (),
        names=names,
        reliability=_reliability(report.get("calibration")),
        warnings=tuple(map(str, report.get("warnings", ()))),
        sample=sample,
    )


_HEAD = ("Class", "IoU", "95 % interval", "F1", "Precision", "Recall", "Pixels")
_SAMPLE_HEAD = ("Class", "User's accuracy", "Producer's accuracy", "ha on the map", "ha estimated")


def _figures(report: Mapping[str, Any]) -> tuple[KeyFigure, ...]:
    ends = report.get("intervals") or {}
    right = _within(ends.get("overall_accuracy"))
    if "sample" in report:
        right = _within(report["sample"].get("overall_accuracy_interval"))
        counted = KeyFigure("Points looked up", whole(report["n_pixels"]))
    else:
        blocks = f"in {ends['blocks']} blocks" if ends else ""
        counted = KeyFigure("Pixels compared", whole(report["n_pixels"]), blocks)
    always = report["majority"]
    compare = f"always “{always['name']}”: {percent(always['miou'])}"
    return (
        KeyFigure("Overall accuracy", percent(report["overall_accuracy"]), right),
        KeyFigure("Mean IoU", percent(report["miou"]), _within(ends.get("miou")) or compare),
        KeyFigure("Mean IoU of a guess", percent(always["miou"]), f"always “{always['name']}”"),
        counted,
    )


def _rows(report: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    ends = (report.get("intervals") or {}).get("classes") or [{}] * len(report["classes"])
    return tuple(
        (
            str(each["name"]),
            percent(each["iou"]),
            _ends(interval.get("iou")),
            *(percent(each[key]) for key in ("f1", "precision", "recall")),
            whole(each["support"]),
        )
        for each, interval in zip(report["classes"], ends, strict=True)
    )


def _sample_rows(sample: Mapping[str, Any]) -> tuple[tuple[str, ...], ...]:
    return tuple(
        (
            str(each["name"]),
            _give_or_take(each["users"], each["users_se"]),
            _give_or_take(each["producers"], each["producers_se"]),
            _hectares(each["mapped_m2"]),
            f"{_hectares(each['area_m2'])} ± {_hectares(_margin(each['area_se_m2']))}",
        )
        for each in sample["classes"]
    )


def _cells(matrix: Sequence[Sequence[float | None]]) -> tuple[tuple[MatrixCell, ...], ...]:
    rows = []
    for i, row in enumerate(matrix):
        total = sum(value or 0 for value in row)
        shares = [(value or 0) / total if total else math.nan for value in row]
        rows.append(tuple(_cell(share, i == j) for j, share in enumerate(shares)))
    return tuple(rows)


def _cell(share: float, right: bool) -> MatrixCell:
    if math.isnan(share):
        return MatrixCell("-", 0, right)
    text = "" if share < 0.0005 else f"{100 * share:.1f}"
    return MatrixCell(text, math.ceil(10 * share), right)


def _reliability(calibration: Mapping[str, Any] | None) -> ReliabilityDiagram | None:
    bins = [each for each in (calibration or {}).get("bins", ()) if each["n_pixels"] >= FEW_PIXELS]
    if not calibration or not bins:
        return None
    most = max(each["n_pixels"] for each in bins)
    dots = tuple(
        (
            round(SIDE * each["confidence"], 1),
            round(SIDE * (1 - each["accuracy"]), 1),
            round(1.5 + 5 * math.sqrt(each["n_pixels"] / most), 1),
        )
        for each in bins
    )
    line = " ".join(f"{x},{y}" for x, y, _ in dots)
    return ReliabilityDiagram(percent(calibration["ece"]), line, dots)


def _within(ends: Sequence[float | None] | None) -> str:
    return f"95 %: {_ends(ends)}" if ends and None not in ends else ""


def _ends(ends: Sequence[float | None] | None) -> str:
    if not ends or ends[0] is None or ends[1] is None:
        return "-"
    return f"{100 * ends[0]:.1f}-{100 * ends[1]:.1f} %"


def _give_or_take(share: float | None, error: float | None) -> str:
    margin = _margin(error)
    if share is None or margin is None:
        return percent(share)
    return f"{100 * share:.1f} ± {100 * margin:.1f} %"


def _margin(error: float | None) -> float | None:
    return None if error is None else Z95 * error


def _hectares(square_metres: float | None) -> str:
    return "-" if square_metres is None else f"{square_metres / 1e4:,.2f}"
