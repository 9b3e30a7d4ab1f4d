"""Cut a region of a scene into chips, with one read and one rasterization."""

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
        labels: labels of the scene.
        region: window to cut, in pixels; it starts on the chip grid.
        size: side of a chip in pixels.
        min_labelled: chips with a smaller fraction of labelled pixels are left out.
        folder: folder of the part.
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
        """File name of the part; sorted by name, chips are sorted by scene, row and column."""
        return part_name(self.scene, self.region)

    @property
    def path(self) -> Path:
        """Path of the part."""
        return self.folder / self.name


@dataclass(frozen=True, eq=False)
class ChipPart:
    """The chips of a region, as stored until the run is finished.

    Attributes:
        images: (chips, bands, size, size).
        valid: (chips, size, size).
        labels: (chips, size, size) class ids, 255 where unlabelled or not valid.
        corners: (chips, 2) row and column in the scene.
    """

    images: NDArray[Any]
    valid: NDArray[np.bool_]
    labels: NDArray[np.uint8]
    corners: NDArray[np.int64]

    def pixels(self, classes: int) -> NDArray[np.int64]:
        """Count the labelled pixels of each chip by class, (chips, classes)."""
        counts = [np.bincount(chip.ravel(), minlength=256)[:classes] for chip in self.labels]
        return np.array(counts, dtype=np.int64)


def cut(task: CutTask) -> tuple[str, dict[str, int]]:
    """Cut a region and write its part.

    Returns:
        The sha256 of the part, and the number of chips kept, unlabelled and invalid.
    """
    corners = list(grid.split(task.region, task.size))
    region = Window(
        task.region.row,
        task.region.col,
        grid.round_up(task.region.height, task.size),
        grid.round_up(task.region.width, task.size),
    )
    labels = _labels(task, region)
    # labels first: most regions of a large scene have none, and its pixels need not be read
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
    part = ChipPart(
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
        # labels that do not meet the scene at all; of several scenes, some may have none
        return np.full(region.shape, IGNORE, dtype=np.uint8)


def part_name(scene: int, region: Window) -> str:
    """The file name of the part of a region."""
    return f"{scene:06d}-{region.row:09d}-{region.col:09d}.npz"


def write_part(path: Path, part: ChipPart | None) -> str:
    """Write the chips of a region, or an empty part if it has none; return the sha256."""
    buffer = io.BytesIO()
    if part is None:
        np.savez(buffer)
    else:
        np.savez(buffer, **{name: getattr(part, name) for name in ChipPart.__dataclass_fields__})
    return files.write_bytes(path, buffer.getvalue())


def load_part(path: Path) -> ChipPart | None:
    """Read the chips of a region; None if it has none."""
    with np.load(path, allow_pickle=False) as arrays:
        return ChipPart(**arrays) if arrays.files else None


def _cut(array: NDArray[Any], chips: list[Window]) -> NDArray[Any]:
    shape = (*array.shape[:-2], *chips[0].shape) if chips else array.shape
    return (
        np.stack([array[..., *chip.slices] for chip in chips]) if chips else np.empty((0, *shape))
    )
