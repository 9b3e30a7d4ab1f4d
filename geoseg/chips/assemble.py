"""Assemble a chip directory from the parts of a run: splits, statistics, arrays, index."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from geoseg import files, grid, ground
from geoseg.chips.band_statistics import Moments, moments_of, pooled
from geoseg.chips.chip_index import write_index
from geoseg.chips.chip_set import ChipSpec, Fold, SceneGrid
from geoseg.chips.class_balance import balance
from geoseg.chips.cut import ChipPart, load_part
from geoseg.chips.leaks import (
    check_no_copies,
    check_scenes_apart,
    check_splits_apart,
    digest,
)
from geoseg.chips.overlaps import Links, PlacedChips, link, overlaps
from geoseg.chips.split import TRAIN, Folds, Split, SplitNames, choose_split
from geoseg.chips.split_areas import fixed_splits
from geoseg.chips.write_arrays import write_arrays
from geoseg.classes import ClassScheme
from geoseg.errors import ChipsError
from geoseg.layout import CHIP_INDEX, CHIP_SPEC
from geoseg.raster import RasterSource
from geoseg.vector import Polygons

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SplitRule:
    """How chips are divided.

    Attributes:
        block_sides: sides of blocks in pixels, by preference.
        val: fraction of validation chips.
        test: fraction of test chips.
        buffers: pixels between training and held-out chips, by preference.
        seed: seed of the random assignment.
        areas: polygons of each scene that the user assigned to splits; None for none.
        folds: number of folds, or "scenes" for one per scene; None for a single split.
        refuse_overlap: whether to refuse scenes that overlap, unless areas divide them.
    """

    block_sides: Sequence[int]
    val: float
    test: float
    buffers: Sequence[int]
    seed: int
    areas: Sequence[Polygons | None]
    folds: Folds | None
    refuse_overlap: bool


def assemble(
    folder: Path,
    parts: Sequence[tuple[int, Path]],
    sources: Sequence[RasterSource],
    scheme: ClassScheme,
    size: int,
    rule: SplitRule,
) -> ChipSpec:
    """Write the chip directory from the parts of all scenes.

    Args:
        folder: chip directory to write.
        parts: (scene index, part), in the order of the chips.
        sources: scenes, by index.
        scheme: the classes.
        size: side of a chip in pixels.
        rule: how to split the chips.

    Returns:
        What chips.json holds.

    Raises:
        ChipsError: no chip was kept, scenes hold copies of each other, the chips cannot be split,
            or the splits would overlap.
    """
    loaded = ((scene, load_part(path)) for scene, path in parts)
    survey = [_survey(scene, part, len(scheme.classes)) for scene, part in loaded if part]
    if not survey:
        raise ChipsError(
            "no chip holds a labelled pixel",
            where=folder,
            fix="check that labels and scenes overlap",
        )
    placed = _placed(survey, size, sources, rule)
    digests = [each for found in survey for each in found.digests]
    check_no_copies(placed, digests, _chip_m2(sources, size), _names(sources))
    split = _split(placed, sources, rule)
    shared = _check(placed, split, sources, scheme)
    # of all chips, so that every fold can pool those of its own training chips
    moments = np.concatenate([each.moments for each in survey])
    spec = _spec(placed, split, sources, scheme, moments, shared)
    write_arrays(folder, partial(_loaded, [path for _, path in parts]), len(placed.scene))
    valid = moments[:, 0, 0] / size**2
    write_index(folder / CHIP_INDEX, placed, split, valid, [source.geobox for source in sources])
    files.write_bytes(folder / CHIP_SPEC, spec.model_dump_json(indent=2).encode())
    return spec


def _loaded(paths: Sequence[Path]) -> Iterator[ChipPart]:
    return (part for part in map(load_part, paths) if part)


@dataclass(frozen=True, eq=False)
class _Survey:
    scene: NDArray[np.int64]
    corners: NDArray[np.int64]
    pixels: NDArray[np.int64]
    moments: Moments
    digests: list[str]


def _survey(scene: int, part: ChipPart, classes: int) -> _Survey:
    """What the split and the statistics need of a part; its pixels can go."""
    chips = list(zip(part.images, part.valid, strict=True))
    return _Survey(
        scene=np.full(len(part.corners), scene, dtype=np.int64),
        corners=part.corners,
        pixels=part.pixels(classes),
        moments=np.stack([moments_of(image, valid) for image, valid in chips]),
        digests=[digest(image, valid) for image, valid in chips],
    )


def _placed(
    survey: Sequence[_Survey], size: int, sources: Sequence[RasterSource], rule: SplitRule
) -> PlacedChips:
    alone = PlacedChips(
        scene=np.concatenate([each.scene for each in survey]),
        corners=np.concatenate([each.corners for each in survey]),
        size=size,
        pixels=np.concatenate([each.pixels for each in survey]),
    )
    links = link(alone, [source.geobox for source in sources], max(rule.buffers))
    return replace(alone, links=links)


def _split(placed: PlacedChips, sources: Sequence[RasterSource], rule: SplitRule) -> Split:
    fixed = fixed_splits(placed, [source.geobox for source in sources], rule.areas)
    if rule.refuse_overlap and fixed is None:
        check_scenes_apart(placed, _names(sources))
    # a split that areas define gets no further chips by chance
    given = set() if fixed is None else set(fixed)
    return choose_split(
        placed,
        block_sides=rule.block_sides,
        buffers=rule.buffers,
        shares=(0.0 if "val" in given else rule.val, 0.0 if "test" in given else rule.test),
        seed=rule.seed,
        fixed=fixed,
        folds=rule.folds,
    )


def _check(
    placed: PlacedChips, split: Split, sources: Sequence[RasterSource], scheme: ClassScheme
) -> float:
    """Log the classes of each split, and refuse splits that overlap."""
    shared: Links = overlaps(placed, [source.geobox for source in sources])
    for fold, names in enumerate(split.rounds, start=1):
        area = check_splits_apart(placed, shared, names, _names(sources))
        if len(split.rounds) > 1:
            logger.info("fold %d", fold)
        for line in balance(names, placed.pixels, scheme.names):
            logger.info("%s", line)
        logger.info("overlap of train, val and test: %g m2", area)
    return area


def _spec(
    placed: PlacedChips,
    split: Split,
    sources: Sequence[RasterSource],
    scheme: ClassScheme,
    moments: Moments,
    shared: float,
) -> ChipSpec:
    bands = [band.name for band in sources[0].bands]
    folds = [_fold(bands, names, placed, moments) for names in split.rounds]
    return ChipSpec(
        size=placed.size,
        dtype=str(sources[0].dtype),
        gsd_m=round(float(np.mean([ground.gsd_m(source.geobox) for source in sources])), 4),
        scheme=scheme,
        bands=folds[0].bands,
        scenes=tuple(scene_grid(source) for source in sources),
        pixels=folds[0].pixels,
        folds=tuple(folds) if len(folds) > 1 else (),
        block=split.block,
        buffer=split.buffer,
        overlap_m2=shared,
    )


def _fold(bands: list[str], names: SplitNames, placed: PlacedChips, moments: Moments) -> Fold:
    pixels = {
        name: tuple(placed.pixels[names == name].sum(axis=0).tolist())
        for name in sorted(set(names))
    }
    return Fold(bands=pooled(bands, moments[names == TRAIN]), pixels=pixels)


def _names(sources: Sequence[RasterSource]) -> list[str]:
    return [source.name for source in sources]


def _chip_m2(sources: Sequence[RasterSource], size: int) -> float:
    geobox = sources[0].geobox
    height, width = geobox.shape
    centre = grid.Window(height // 2, width // 2, 1, 1)
    return size**2 * float(ground.pixel_areas_m2(geobox, centre).item())


def scene_grid(source: RasterSource) -> SceneGrid:
    """The grid of a scene, as chips.json holds it."""
    affine = source.geobox.affine
    return SceneGrid(
        name=source.name,
        crs=grid.crs_of(source.geobox).to_wkt(),
        transform=(affine.a, affine.b, affine.c, affine.d, affine.e, affine.f),
        shape=tuple(source.geobox.shape),
    )
