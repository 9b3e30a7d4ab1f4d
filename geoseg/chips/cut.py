"""Cut one region of a scene into chips: one read, one rasterization, many chips."""

from __future__ import annotations

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg import files, grid
from geoseg.classes import IGNORE
from geoseg.errors import ApartError
from geoseg.grid import Window
from geoseg.labels import LabelLayer, open_labels
from geoseg.raster import RasterSource


@dataclass(frozen=True)
class CutTask:
    """A region of a scene to cut.

    Attributes:
        scene: index of the scene.
        source: the scene.
        labels: where its labels come from.
        region: what to cut; starts on the chip grid.
        size: side of a chip in pixels.
        min_labelled: chips with a smaller share of labelled pixels are left out.
        folder: where the part goes.
    """

    scene: int
    source: RasterSource
    labels: LabelLayer
    region: Window
    size: int
    min_labelled: float
    folder: Path

    @property
    def name(self) -> str:
        """File name of the part; sorting parts by name sorts chips by scene, row and column."""
        return part_name(self.scene, self.region)

    @property
    def path(self) -> Path:
        """Where the part goes."""
        return self.folder / self.name


@dataclass(frozen=True, eq=False)
class Part:
    """The chips of a region, as stored while a run goes on."""

    images: NDArray[Any]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    corners: NDArray[np.int64]

    def pixels(self, classes: int) -> NDArray[np.int64]:
        """Labelled pixels of each chip by class, (chips, classes)."""
        counts = [np.bincount(chip.ravel(), minlength=256)[:classes] for chip in self.labels]
        return np.array(counts, dtype=np.int64)


def cut(task: CutTask) -> tuple[str, dict[str, int]]:
    """Cut a region and write its part.

    Returns:
        The part's sha256, and how many chips were kept and left out.
    """
    corners = list(grid.split(task.region, task.size))
    region = Window(
        task.region.row,
        task.region.col,
        grid.round_up(task.region.height, task.size),
        grid.round_up(task.region.width, task.size),
    )
    labels = _labels(task, region)
    if (labels == IGNORE).all():
        return write_part(task.path, None), {"kept": 0, "unlabelled": len(corners), "invalid": 0}
    block = task.source.read(region)
    labels[~block.valid] = IGNORE
    kept, unlabelled, invalid = [], 0, 0
    for corner in corners:
        chip = Window(corner.row, corner.col, task.size, task.size).relative_to(region)
        if not block.valid[chip.slices].any():
            invalid += 1
        elif not (share := (labels[chip.slices] != IGNORE).mean()) or share < task.min_labelled:
            unlabelled += 1
        else:
            kept.append(chip)
    part = Part(
        images=_cut(block.pixels, kept),
        valid=_cut(block.valid, kept),
        labels=_cut(labels, kept),
        corners=np.array([(region.row + c.row, region.col + c.col) for c in kept], dtype=np.int64),
    )
    return write_part(task.path, part if kept else None), {
        "kept": len(kept),
        "unlabelled": unlabelled,
        "invalid": invalid,
    }


def _labels(task: CutTask, region: Window) -> NDArray[np.uint8]:
    try:
        return open_labels(task.labels, task.source.geobox).read(region)
    except ApartError:
        return np.full(region.shape, IGNORE, dtype=np.uint8)


def part_name(scene: int, region: Window) -> str:
    """The file name of a region's part."""
    return f"{scene:06d}-{region.row:09d}-{region.col:09d}.npz"


def write_part(path: Path, part: Part | None) -> str:
    """Write the chips of a region, or that it has none, and return the sha256."""
    buffer = io.BytesIO()
    if part is None:
        np.savez(buffer)
    else:
        np.savez(buffer, **{name: getattr(part, name) for name in Part.__dataclass_fields__})
    return files.write_bytes(path, buffer.getvalue())


def load_part(path: Path) -> Part | None:
    """The chips of a region, or None when it had none."""
    with np.load(path, allow_pickle=False) as arrays:
        return Part(**arrays) if arrays.files else None


def _cut(array: NDArray[Any], chips: list[Window]) -> NDArray[Any]:
    shape = (*array.shape[:-2], *chips[0].shape) if chips else array.shape
    return (
        np.stack([array[..., *chip.slices] for chip in chips]) if chips else np.empty((0, *shape))
    )
