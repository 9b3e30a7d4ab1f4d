"""Plots of an accuracy report: confusion matrix and reliability diagram."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoseg import files
from geoseg.accuracy import Floats, ratio
from geoseg.classes import ClassScheme

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

CONFUSION, RELIABILITY = "confusion.png", "reliability.png"
PAPER, INK, GREY, BLUE = "#ffffff", "#1f2933", "#7b8794", "#2b6cb0"
MOST_NUMBERS = 25
"""With more classes, cells are too small for numbers."""


def write_plots(folder: Path, report: Mapping[str, Any], scheme: ClassScheme) -> list[Path]:
    """Draw the confusion matrix and, where the map has a confidence, the reliability diagram.

    Args:
        folder: folder of the PNGs; created if it is missing.
        report: the accuracy report that `evaluate` returned.
        scheme: the classes, for their colours.

    Returns:
        The files written.

    Raises:
        OutputError: the folder cannot be written to.
    """
    written = [_save(folder / CONFUSION, lambda: _confusion(report, scheme))]
    if report.get("calibration"):
        written.append(_save(folder / RELIABILITY, lambda: _reliability(report["calibration"])))
    return written


def _save(out: Path, draw: Callable[[], Figure]) -> Path:
    import matplotlib

    with matplotlib.rc_context({"font.family": "DejaVu Sans", "font.size": 9, "text.color": INK}):
        figure = draw()
        # Without matplotlib's version in its metadata, the same report gives the same bytes.
        with files.whole(out) as temporary:
            figure.savefig(temporary, dpi=130, facecolor=PAPER, metadata={"Software": None})
    return out


def _confusion(report: Mapping[str, Any], scheme: ClassScheme) -> Figure:
    from matplotlib.figure import Figure

    sample = "sample" in report
    counts = np.array(report["confusion_m2" if sample else "confusion"], dtype=float)
    shares = ratio(counts, np.broadcast_to(counts.sum(axis=1, keepdims=True), counts.shape))
    side = 2.6 + 0.62 * min(max(len(counts), 3), 30)
    figure = Figure(figsize=(side + 1.2, side + 0.5), layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    if len(counts) <= MOST_NUMBERS:
        _numbers(axes, shares)
    _class_ticks(axes, scheme)
    unit = "points" if sample else "pixels"
    what = "area" if sample else "pixels"
    axes.set_title(f"Percent of the {what} of each true class", loc="left", fontweight="bold")
    axes.set_xlabel(
        f"map\n\n{report['n_pixels']:,} {unit}; overall accuracy "
        f"{_percent(report['overall_accuracy'])}, mean IoU {_percent(report['miou'])}"
    )
    axes.set_ylabel("truth")
    bar = figure.colorbar(
        image, ax=axes, shrink=0.8, format=lambda share, _: f"{100 * share:.0f} %"
    )
    bar.outline.set_visible(False)
    return figure


def _numbers(axes: Axes, shares: Floats) -> None:
    for (row, col), share in np.ndenumerate(shares):
        text = "-" if np.isnan(share) else "" if share < 0.0005 else f"{100 * share:.1f}"
        colour = PAPER if share > 0.55 else INK
        axes.text(col, row, text, ha="center", va="center", color=colour, fontsize=8)


def _class_ticks(axes: Axes, scheme: ClassScheme) -> None:
    """Label both axes with names and squares in the colours of the classes."""
    from matplotlib.patches import Rectangle

    places = range(len(scheme.classes))
    axes.set_xticks(places, scheme.names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(places, scheme.names)
    axes.tick_params(length=0, pad=14)
    for spine in axes.spines.values():
        spine.set_visible(False)
    last = len(scheme.classes) - 0.5
    for place, each in enumerate(scheme.classes):
        for corner, transform in (
            ((-0.022, place - 0.32), axes.get_yaxis_transform()),
            ((place - 0.32, -0.022), axes.get_xaxis_transform()),
        ):
            upright = transform == axes.get_yaxis_transform()
            width, height = (0.016, 0.64) if upright else (0.64, 0.016)
            axes.add_patch(
                Rectangle(
                    corner, width, height, transform=transform, clip_on=False,
                    fc=each.color, ec=GREY, lw=0.5,
                )
            )  # fmt: skip
        if place:
            axes.axhline(place - 0.5, color=PAPER, lw=1)
            axes.axvline(place - 0.5, color=PAPER, lw=1)
    axes.set(xlim=(-0.5, last), ylim=(last, -0.5))


def _reliability(calibration: Mapping[str, Any]) -> Figure:
    from matplotlib.figure import Figure

    bins = calibration["bins"]
    confidence, right = (
        100 * np.array([each[key] for each in bins], dtype=float)
        for key in ("confidence", "accuracy")
    )
    pixels = np.array([each["n_pixels"] for each in bins])
    edges = np.linspace(0, 100, len(bins) + 1)
    figure = Figure(figsize=(5.2, 6.2), layout="constrained")
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(4, 1))
    above.bar(
        edges[:-1], right, width=np.diff(edges), align="edge", color=BLUE, alpha=0.25,
        edgecolor=PAPER,
    )  # fmt: skip
    above.plot([0, 100], [0, 100], color=GREY, lw=1, ls="--", label="perfectly calibrated")
    above.plot(confidence, right, "o-", color=BLUE, ms=4, lw=1.4, label="this map")
    above.set(ylim=(0, 100), ylabel="right pixels, %")
    above.set_title(
        f"Off by {100 * calibration['ece']:.1f} % on average (ECE)", loc="left", fontweight="bold"
    )
    above.legend(loc="upper left", frameon=False)
    below.bar(
        edges[:-1], 100 * pixels / max(pixels.sum(), 1), width=np.diff(edges), align="edge",
        color=GREY, edgecolor=PAPER,
    )  # fmt: skip
    below.set(xlim=(0, 100), xlabel="confidence of the map, %", ylabel="share of\npixels, %")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.1f} %"
