"""The accuracy report as tables for a terminal or a log file."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table

MOST_CLASSES = 12
"""A larger confusion matrix does not fit a terminal; the PNG and JSON hold it."""
NONE = "-"


def describe(report: Mapping[str, Any]) -> str:
    """Format a report as tables.

    Args:
        report: the accuracy report that `evaluate` returned.
    """
    from rich.console import Console

    # Rich takes 80 columns where the output is not a terminal: too few for the table of classes.
    width = shutil.get_terminal_size((120, 40)).columns if sys.stdout.isatty() else 120
    console = Console(width=max(width, 60), highlight=False, markup=False, emoji=False)
    with console.capture() as capture:
        for part in _parts(report):
            console.print(part)
    lines = capture.get().splitlines()
    return "\n".join(line.rstrip() for line in lines)


def _parts(report: Mapping[str, Any]) -> Iterator[Table | str]:
    if "sample" in report:
        yield _areas(report["sample"])
    else:
        yield _scores(report)
    yield from _summary(report)
    if len(report["classes"]) <= MOST_CLASSES:
        yield ""
        yield _confusion(report)
    if report.get("objects"):
        yield ""
        yield _objects(report["objects"])
    if len(report.get("scenes", ())) > 1:
        yield ""
        yield _scenes(report["scenes"])
    for warning in report["warnings"]:
        yield f"! {warning}"


def _table(*columns: str) -> Table:
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for place, column in enumerate(columns):
        table.add_column(column, justify="right" if place else "left", no_wrap=bool(place))
    return table


def _scores(report: Mapping[str, Any]) -> Table:
    table = _table("class", "IoU", "95 %", "F1", "precision", "recall", "outlines", "pixels", "ha")
    rows = zip(
        report["classes"], report["intervals"]["classes"], report["boundary"]["classes"],
        report["confusion_m2"], strict=True,
    )  # fmt: skip
    for each, ends, outline, area in rows:
        table.add_row(
            each["name"],
            percent(each["iou"]),
            _ends(ends["iou"]),
            *(percent(each[key]) for key in ("f1", "precision", "recall")),
            percent(outline["iou"]),
            f"{each['support']:,}",
            NONE if None in area else hectares(sum(area)),
        )
    return table


def _areas(sample: Mapping[str, Any]) -> Table:
    table = _table("class", "user's", "producer's", "ha on the map", "ha estimated", "points")
    for each in sample["classes"]:
        table.add_row(
            each["name"],
            _give_or_take(each["users"], each["users_se"]),
            _give_or_take(each["producers"], each["producers_se"]),
            hectares(each["mapped_m2"]),
            f"{hectares(each['area_m2'])} ± {hectares(_margin(each['area_se_m2']))}",
            f"{each['points']:,}",
        )
    return table


def _summary(report: Mapping[str, Any]) -> Iterator[str]:
    right, always = report["overall_accuracy"], report["majority"]
    yield ""
    if "sample" in report:
        sample = report["sample"]
        accuracy = _give_or_take(right, sample["overall_accuracy_se"])
        points = f"from {sample['points']:,} points; ± is 95 %"
        yield f"overall accuracy {accuracy} % of the map, {points}"
        yield f"mean IoU {percent(report['miou'])} %"
        return
    ends = report["intervals"]
    yield (
        f"mean IoU {percent(report['miou'])} %{_within(ends['miou'])}, "
        f"overall accuracy {percent(right)} %{_within(ends['overall_accuracy'])}"
    )
    blocks = f"in {ends['blocks']} blocks of {ends['block_px']} px"
    yield f"{report['n_pixels']:,} pixels compared, {blocks}"
    yield f"always {always['name']}: mean IoU {percent(always['miou'])} %"
    if report["calibration"]:
        yield f"confidence is off by {percent(report['calibration']['ece'])} % on average (ECE)"
    yield from _worst(report["blocks"])


def _worst(blocks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if len(blocks) > 1:
        worst = min(blocks, key=lambda each: float(each["overall_accuracy"]))
        yield (
            f"worst block: {percent(worst['overall_accuracy'])} % right, at row {worst['row']}, "
            f"column {worst['col']} of {worst['map']}"
        )


def _confusion(report: Mapping[str, Any]) -> Table:
    names = [each["name"] for each in report["classes"]]
    table = _table("truth \\ map, %", *(name[:9] for name in names))
    key = "confusion_m2" if "sample" in report else "confusion"
    for name, row in zip(names, report[key], strict=True):
        total = 0 if None in row else sum(row)
        cells = [percent(part / total) if total else NONE for part in row]
        table.add_row(name, *("." if cell == "0.0" else cell for cell in cells))
    return table


def _objects(objects: Sequence[Mapping[str, Any]]) -> Table:
    table = _table(
        "objects", "precision", "recall", "F1", "SQ", "PQ", "matched", "missed", "invented"
    )
    for each in objects:
        shares = (percent(each[key]) for key in ("precision", "recall", "f1", "sq", "pq"))
        counts = (f"{each[key]:,}" for key in ("matched", "missed", "invented"))
        table.add_row(each["name"], *shares, *counts)
    return table


def _scenes(scenes: Sequence[Mapping[str, Any]]) -> Table:
    table = _table("map", "mean IoU", "right", "pixels")
    for each in scenes:
        shares = (percent(each[key]) for key in ("miou", "overall_accuracy"))
        table.add_row(each["map"], *shares, f"{each['n_pixels']:,}")
    return table


def percent(share: float | None) -> str:
    """Format a share in percent with one decimal; a dash for None."""
    return NONE if share is None else f"{100 * share:.1f}"


def hectares(area_m2: float | None) -> str:
    """Format an area in hectares, with decimals below 1000 ha; a dash for None."""
    if area_m2 is None:
        return NONE
    hectare = area_m2 / 10_000
    return f"{hectare:,.0f}" if abs(hectare) >= 1000 else f"{hectare:,.2f}"


def _ends(ends: Sequence[float | None]) -> str:
    return NONE if None in ends else f"{percent(ends[0])}-{percent(ends[1])}"


def _within(ends: Sequence[float | None]) -> str:
    return "" if None in ends else f" ({_ends(ends)})"


def _give_or_take(share: float | None, error: float | None) -> str:
    return f"{percent(share)} ± {percent(_margin(error))}" if share is not None else NONE


def _margin(error: float | None) -> float | None:
    from geoseg.accuracy.stratified import Z95  # late: the command line starts without NumPy

    return None if error is None else Z95 * error
