"""Where chips may be cut from scenes without labels, apart from validation and test chips."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from geoseg import grid
from geoseg.chips.chip_set import ChipSet
from geoseg.chips.leaks import check_splits_apart
from geoseg.chips.overlaps import PlacedChips, link, overlaps
from geoseg.chips.split import LEFT_OUT, TEST, TRAIN, VAL, SplitNames
from geoseg.errors import ChipsError
from geoseg.raster import RasterSource

REGION_PX = 1024
"""Side in pixels of the regions that are read and labelled at once."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class UnlabelledAreas:
    """Where chips may be cut from scenes without labels.

    Attributes:
        sources: scenes with the bands of the labelled chips.
        regions: chips that are read together: the index of their scene, and the row and column of
            their corners, (n, 2).
    """

    sources: Sequence[RasterSource]
    regions: Sequence[tuple[int, NDArray[np.int64]]]

    def bytes_needed(self, chips: ChipSet) -> int:
        """Disk space for a chip set of the training chips and these, while it is written."""
        # cut chips exist twice, as parts and in the arrays; 2 bytes a pixel are labels and validity
        cut, kept = sum(len(corners) for _, corners in self.regions), len(chips.positions("train"))
        planes = len(chips.spec.bands) * np.dtype(chips.spec.dtype).itemsize + 2
        return (2 * cut + kept) * planes * chips.spec.size**2


def find_unlabelled_areas(chips: ChipSet, sources: Sequence[RasterSource]) -> UnlabelledAreas:
    """Find where unlabelled scenes are at least the buffer away from validation and test chips.

    Args:
        chips: labelled chips, with the splits of their fold.
        sources: unlabelled scenes with the bands of the chips.

    Raises:
        ChipsError: every chip of the scenes is too near.
    """
    size = chips.spec.size
    corners = [_corners(source, size) for source in sources]
    names = _names(chips, sources, corners)
    held = len(names) - sum(map(len, corners))
    free = np.split(names[held:] == TRAIN, np.cumsum([len(each) for each in corners])[:-1])
    left_out = int((names == LEFT_OUT).sum())
    if left_out:
        logger.info(
            "%d unlabelled chips overlap val and test chips or their buffer: left out", left_out
        )
    if not any(each.any() for each in free):
        raise ChipsError(
            "all unlabelled chips overlap val and test chips or their buffer",
            where=", ".join(source.name for source in sources),
            fix="give other scenes with --unlabelled, or cut chips with a smaller --buffer",
        )
    return UnlabelledAreas(
        sources,
        [
            (scene, region)
            for scene, (each, chosen) in enumerate(zip(corners, free, strict=True))
            for region in _regions(each[chosen], size)
        ],
    )


def _corners(source: RasterSource, size: int) -> NDArray[np.int64]:
    return np.array([(w.row, w.col) for w in grid.split(grid.whole(source.geobox.shape), size)])


def _names(
    chips: ChipSet, sources: Sequence[RasterSource], corners: Sequence[NDArray[np.int64]]
) -> SplitNames:
    """Splits of the held-out chips, followed by "train" or "buffer" for each unlabelled one."""
    spec = chips.spec
    table = chips.index[chips.index["split"].isin([VAL, TEST])]
    own = table[["scene", "row", "col"]].to_numpy(dtype=np.int64)
    # unlabelled scenes are numbered after the labelled ones, as if chips had been cut from all
    numbers = [len(spec.scenes) + scene for scene in range(len(sources))]
    scenes = [own[:, 0], *(np.full(len(c), n) for n, c in zip(numbers, corners, strict=True))]
    placed = PlacedChips(
        scene=np.concatenate(scenes),
        corners=np.concatenate([own[:, 1:], *corners]),
        size=spec.size,
        pixels=np.zeros((sum(map(len, scenes)), len(spec.scheme.classes)), dtype=np.int64),
    )
    geoboxes = [*(each.geobox for each in spec.scenes), *(each.geobox for each in sources)]
    links = link(placed, geoboxes, spec.buffer)
    names = np.full(len(placed.scene), TRAIN, dtype="U6")
    names[: len(own)] = table["split"].to_numpy()
    near = links.pairs[(links.gaps < spec.buffer) | (links.shared_m2 > 0)]
    # pairs of one held-out and one unlabelled chip; the second of them is the unlabelled one
    mixed = near[(near < len(own)).sum(axis=1) == 1]
    names[mixed.max(axis=1)] = LEFT_OUT
    shared = overlaps(replace(placed, links=links), geoboxes)
    titles = [*(each.name for each in spec.scenes), *(each.name for each in sources)]
    area = check_splits_apart(placed, shared, names, titles)
    logger.info("overlap of unlabelled chips with val and test: %g m2", area)
    return names


def _regions(corners: NDArray[np.int64], size: int) -> Iterator[NDArray[np.int64]]:
    """Group corners by region; the chips of a region are read at once."""
    if not len(corners):
        return
    cells = corners // grid.round_up(REGION_PX, size)
    region = np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)
    for number in range(int(region.max()) + 1):
        yield corners[region == number]
