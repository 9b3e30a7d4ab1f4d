"""Say how right a map is."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from geoseg.options import Options

__all__ = ["EvaluateOptions", "evaluate"]


class EvaluateOptions(Options):
    """Options of `evaluate`."""

    chips: Path | None = None
    """Chip directory; of the scenes it was cut from, only the blocks it held out are counted."""

    split: Literal["test", "val", "train"] = "test"
    """Which of its splits."""

    area: Path | None = None
    """Polygons; only pixels whose centre they cover are counted."""

    classes: Path | None = None
    """Class file, for a map that does not carry its classes."""

    like: Path | None = None
    """Raster on whose grid polygons are compared with polygons."""

    column: str | None = None
    """Attribute of the truth with the label code; the class file's by default."""

    layer: str | None = None
    """Layer of the truth, where it has several."""


def evaluate(
    mapped: str | Path | Sequence[str | Path],
    truth: str | Path,
    *,
    options: EvaluateOptions | None = None,
) -> dict[str, Any]:
    """Compare maps with the truth, pixel by pixel, on each map's grid.

    Counted are pixels where the map has data and the truth is labelled; with ``chips`` or ``area``,
    only those held out.

    Args:
        mapped: a map directory, a class raster, or polygons with a class_id; several are counted
            together.
        truth: polygons, a label raster, or a folder of label rasters.
        options: what to count.

    Returns:
        {"miou", "overall_accuracy", "n_pixels", "classes": [{"id", "name", "iou", "f1",
        "precision", "recall", "support"}], "confusion", "majority"}: shares of 1; None where a
        score is undefined; the confusion matrix has the truth by row; "majority" is what a map
        that says the commonest class everywhere would score.

    Raises:
        InputError: map and truth cannot be compared; says why.
    """
    from geoseg.steps.evaluate.compare import compare, report

    options = options or EvaluateOptions()
    maps = [mapped] if isinstance(mapped, str | Path) else mapped
    confusion, scheme = compare([Path(each) for each in maps], str(truth), options)
    return report(confusion, scheme)
