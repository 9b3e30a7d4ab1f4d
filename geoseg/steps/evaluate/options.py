"""Options of evaluate and of the samples it draws."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import Field

from geoseg.options import Options


class EvaluateOptions(Options):
    """Options of `evaluate`.

    Example:
        >>> import geoseg
        >>> options = geoseg.EvaluateOptions(chips="chips", objects=["water"])
        >>> report = geoseg.evaluate("map", "labels.gpkg", options=options)
        >>> [row["name"] for row in report["classes"]]
        ['land', 'water']
    """

    chips: Path | None = None
    """Chip directory; of the scenes it was cut from, only the blocks it held out are counted."""

    split: Literal["test", "val", "train"] = "test"
    """Split of the chip directory to count."""

    area: Path | None = None
    """Polygons; only pixels whose centre they cover are counted."""

    classes: Path | None = None
    """Class file, for a map that does not carry its classes."""

    like: Path | None = None
    """Raster on whose grid polygons are compared with polygons."""

    column: str | None = None
    """Attribute of the truth with the label code; the class file's by default."""

    layer: str | None = None
    """Layer of the truth, where its file has several."""

    objects: tuple[str, ...] = ()
    """Classes to match object by object as well, such as building. By default those with
    regularize: true in the class file. May be given several times."""

    boundary: int = Field(default=3, ge=1, le=256)
    """Width in pixels, on either side of an outline, of the zone that boundary IoU counts."""

    block: int | None = Field(default=None, ge=8)
    """Side in pixels of the blocks that confidence intervals resample; by default the chips'
    blocks, or 512 px and less where that makes fewer than 30 blocks."""

    expect: tuple[str, ...] = ()
    """Expected user's accuracy of a class, for planning a sample, as NAME=SHARE, such as
    building=0.7; 0.8 by default. May be given several times."""

    seed: int = Field(default=0, ge=0)
    """Seed of confidence intervals and samples."""

    plots: Path | None = None
    """Folder for confusion.png and, where the map has a confidence, reliability.png."""
