"""A chip set of labelled training chips and chips with pseudo-labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from itertools import batched
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from geoseg import files
from geoseg.chips.assemble import scene_grid
from geoseg.chips.chip_index import write_index
from geoseg.chips.chip_set import ChipSet, open_chips
from geoseg.chips.cut import ChipPart, load_part, part_name, write_part
from geoseg.chips.leaks import digest
from geoseg.chips.overlaps import PlacedChips
from geoseg.chips.split import TRAIN, Split
from geoseg.chips.unlabelled_areas import UnlabelledAreas
from geoseg.chips.write_arrays import write_arrays
from geoseg.classes import IGNORE
from geoseg.grid import Window
from geoseg.job import Ledger
from geoseg.layout import CHIP_INDEX, CHIP_SPEC
from geoseg.progress import track
from geoseg.raster import RasterSource
from geoseg.raster.block import Mask, Pixels

type Labeller = Callable[[Pixels, Mask], NDArray[np.uint8]]
"""Maps pixels, (chips, bands, size, size), and validity, (chips, size, size), to class ids or
255."""

COPIED = 64
"""Labelled chips copied at a time."""


def with_pseudo_labels(
    chips: ChipSet, areas: UnlabelledAreas, label: Labeller, work: Path
) -> ChipSet | None:
    """Write the training chips, followed by the chips of unlabelled scenes that get labels.

    Chips with the same pixels as a validation or test chip are left out, whatever their
    georeference: a copy under another name would leak. After a crash the same call continues with
    the regions that are not labelled yet.

    Args:
        chips: labelled chips.
        areas: where to cut.
        label: returns class ids, and 255 where it is not confident.
        work: folder that is kept as long as the chips are needed.

    Returns:
        A chip set of the split "train" only, whose first scenes are those of the labelled chips;
        None if no pixel was labelled.
    """
    folder, parts = work / "chips", work / "parts"
    if not (folder / CHIP_SPEC).exists():
        found = _cut_all(chips, areas, label, parts)
        if not found:
            return None
        _merge(folder, chips, areas, [(scene, parts / name) for name, scene in found.items()])
    files.remove(parts)
    return open_chips(folder)


def added_pixels(chips: ChipSet, more: ChipSet | None) -> list[int]:
    """Count the pixels of each class that pseudo-labels add to the training chips."""
    if more is None:
        return [0] * len(chips.spec.scheme.classes)
    new = more.index["scene"].to_numpy() >= len(chips.spec.scenes)
    counts: list[int] = more.pixels[new].sum(axis=0).tolist()
    return counts


def _cut_all(
    chips: ChipSet, areas: UnlabelledAreas, label: Labeller, folder: Path
) -> Mapping[str, int]:
    """Cut and label the regions that are left; return the scene of each part that has chips."""
    ledger = Ledger(folder)
    done = ledger.parts()
    held = _held_digests(chips)
    for scene, corners in track(areas.regions, label="labelling", total=len(areas.regions)):
        name = part_name(scene, _around(corners, chips.spec.size))
        if name not in done:
            part = _cut(areas.sources[scene], corners, chips.spec.size, label, held)
            facts = {"scene": scene, "kept": len(part.corners) if part else 0}
            ledger.add(name, write_part(folder / name, part), facts)
            done[name] = facts
    return {name: done[name]["scene"] for name in sorted(done) if done[name]["kept"]}


def _held_digests(chips: ChipSet) -> set[str]:
    held = np.concatenate([chips.positions("val"), chips.positions("test")])
    return {digest(chips.images[at], chips.valid[at]) for at in held} - {""}


def _around(corners: NDArray[np.int64], size: int) -> Window:
    (row, col), (height, width) = corners.min(axis=0), np.ptp(corners, axis=0) + size
    return Window(int(row), int(col), int(height), int(width))


def _cut(
    source: RasterSource, corners: NDArray[np.int64], size: int, label: Labeller, held: set[str]
) -> ChipPart | None:
    """The chips of a region that get labels, or None."""
    region = _around(corners, size)
    block = source.read(region)
    windows = [Window(row, col, size, size).relative_to(region) for row, col in corners.tolist()]
    images = np.stack([block.pixels[:, *window.slices] for window in windows])
    valid = np.stack([block.valid[window.slices] for window in windows])
    seen = np.flatnonzero(valid.any(axis=(1, 2)))
    seen = np.array([at for at in seen if digest(images[at], valid[at]) not in held], dtype=np.intp)
    if not len(seen):
        return None
    labels = label(images[seen], valid[seen])
    labels[~valid[seen]] = IGNORE
    sure = (labels != IGNORE).any(axis=(1, 2))
    kept = seen[sure]
    return ChipPart(images[kept], valid[kept], labels[sure], corners[kept]) if len(kept) else None


def _merge(
    folder: Path, chips: ChipSet, areas: UnlabelledAreas, parts: Sequence[tuple[int, Path]]
) -> None:
    """Write the chip set: the training chips, then those of the parts."""
    spec = chips.spec
    placed, valid = _placed(chips, parts)
    count = len(placed.scene)
    split = Split(np.full((1, count), TRAIN), np.zeros(count, np.int64), spec.block, spec.buffer)
    scenes = (*spec.scenes, *(scene_grid(source) for source in areas.sources))
    write_arrays(folder, partial(_parts, chips, [path for _, path in parts]), count)
    write_index(folder / CHIP_INDEX, placed, split, valid, [scene.geobox for scene in scenes])
    changes: dict[str, Any] = {
        "scenes": scenes,
        "pixels": {TRAIN: tuple(placed.pixels.sum(axis=0).tolist())},
        "folds": (),
    }
    merged = spec.model_copy(update=changes)
    files.write_bytes(folder / CHIP_SPEC, merged.model_dump_json(indent=2).encode())


def _placed(
    chips: ChipSet, parts: Sequence[tuple[int, Path]]
) -> tuple[PlacedChips, NDArray[np.float64]]:
    """Places of the chips to be, and the valid fraction of each."""
    spec, train = chips.spec, chips.positions("train")
    table = chips.index.iloc[train]
    scenes = [table["scene"].to_numpy(dtype=np.int64)]
    corners = [table[["row", "col"]].to_numpy(dtype=np.int64)]
    pixels, valid = [chips.pixels[train]], [table["valid"].to_numpy(dtype=np.float64)]
    for scene, path in parts:
        part = _loaded(path)
        scenes.append(np.full(len(part.corners), len(spec.scenes) + scene))
        corners.append(part.corners)
        pixels.append(part.pixels(len(spec.scheme.classes)))
        valid.append(part.valid.mean(axis=(1, 2)))
    placed = PlacedChips(
        np.concatenate(scenes), np.concatenate(corners), spec.size, np.concatenate(pixels)
    )
    return placed, np.concatenate(valid)


def _parts(chips: ChipSet, paths: Sequence[Path]) -> Iterator[ChipPart]:
    corners = chips.index[["row", "col"]].to_numpy(dtype=np.int64)
    for some in batched(chips.positions("train").tolist(), COPIED):
        at = list(some)
        yield ChipPart(chips.images[at], chips.valid[at], chips.labels[at], corners[at])
    for path in paths:
        yield _loaded(path)


def _loaded(path: Path) -> ChipPart:
    part = load_part(path)
    assert part is not None, "only parts with chips are named"
    return part
