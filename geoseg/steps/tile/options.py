"""Options of `tile`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from geoseg.job.pool import WorkerOptions
from geoseg.options import ReadOptions


class TileOptions(ReadOptions, WorkerOptions):
    """Options of `tile`.

    Example:
        >>> import geoseg
        >>> options = geoseg.TileOptions(size=64, bands="green,nir")
        >>> options.bands
        ('green', 'nir')
        >>> geoseg.tile(
        ...     "scene.tif", "labels.gpkg", "two", classes="classes.yaml", options=options
        ... ).name
        'two'
    """

    size: int | None = Field(None, ge=32, le=4096, multiple_of=32)
    """Side of a chip in pixels; by default 256, or less where the scenes give fewer than 96 chips
    of that size."""

    min_labelled: float = Field(0.0, ge=0, lt=1)
    """Leave out chips with a smaller share of labelled pixels."""

    block: int | None = Field(None, ge=1)
    """Side in pixels of the blocks that are held out whole; by default four chips, or two or one
    where too few chips would be left to train on."""

    val: float = Field(0.15, gt=0, lt=1)
    """Share of blocks for validation, which decides when training stops."""

    test: float = Field(0.15, ge=0, lt=1)
    """Share of blocks for testing, which only evaluation sees."""

    buffer: int | None = Field(None, ge=0)
    """Pixels between training chips and held-out ones; by default a chip and the model's halo, or
    the halo, or none, where too few chips would be left to train on."""

    folds: Annotated[int, Field(ge=2)] | Literal["scenes"] | None = None
    """Divide the blocks into this many folds, each of which validates once; "scenes" leaves out one
    scene at a time. `geoseg train --fold` chooses one. Replaces --val."""

    overlapping: Literal["refuse", "buffer"] = "refuse"
    """Overlapping scenes: refuse them, or leave out training chips that lie nearer than the buffer
    to held-out ground of any scene."""

    test_area: Path | None = None
    """Polygons whose chips are the test split, instead of a share of the blocks."""

    areas: Path | None = None
    """Polygons that assign ground to train, val and test. Chips on two of them are left out, and
    so are chips on none of them if any polygon is train; blocks are drawn for val or test where no
    polygon is."""

    split_column: str | None = None
    """Attribute with train, val or test: of the areas ("split" by default) or, without areas, of
    the label polygons."""

    column: str | None = None
    """Attribute with the label code; the class file's by default."""

    layer: str | None = None
    """Layer of the label file, if it has several."""

    seed: int = 0
    """Seed of the split."""

    export: Literal["geotiff", "coco"] | None = None
    """Also write the chips for other programs, into a folder of that name in the chip directory."""
