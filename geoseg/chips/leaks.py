"""Leaks: overlaps between scenes and between splits, measured and refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.overlaps import Links, PlacedChips
from geoseg.chips.split import LEFT_OUT, SplitNames
from geoseg.errors import ChipsError

NAMED = 3
"""Pairs of chips that an error lists."""
TO_DO = (
    "leave one of them out, assign areas to train, val and test with --areas, or leave out the "
    "overlapping training chips with --overlapping buffer"
)


def check_scenes_apart(placed: PlacedChips, scenes: Sequence[str]) -> None:
    """Refuse scenes whose chips overlap.

    Args:
        placed: chips with their links.
        scenes: names of the scenes, by index.

    Raises:
        ChipsError: some overlap; the error states the area and the chips.
    """
    shared = placed.links.shared_m2 > 0
    if shared.any():
        pairs, areas = placed.links.pairs[shared], placed.links.shared_m2[shared]
        raise ChipsError(
            "scenes overlap, so training and held-out chips could show the same ground",
            got=_listed(placed, pairs, areas, scenes),
            wanted="0 m2",
            fix=TO_DO,
        )


def check_no_copies(
    placed: PlacedChips, digests: Sequence[str], chip_m2: float, scenes: Sequence[str]
) -> None:
    """Refuse scenes that are copies of each other, whatever their georeference.

    Args:
        placed: chips with their links; pairs that are near each other are left to them.
        digests: `digest` of each chip.
        chip_m2: area of a chip in square metres.
        scenes: names of the scenes, by index.

    Raises:
        ChipsError: chips of two scenes have the same pixels; the error states the area and the
            chips.
    """
    # overlapping scenes may hold the same pixels; those pairs are known to be near each other
    linked = {(int(a), int(b)) for a, b in placed.links.pairs}
    first: dict[str, int] = {}
    pairs = []
    for chip, digest in enumerate(digests):
        like = first.setdefault(digest, chip) if digest else chip
        if placed.scene[like] != placed.scene[chip] and (like, chip) not in linked:
            pairs.append((like, chip))
    if pairs:
        raise ChipsError(
            "scenes hold the same pixels",
            got=_listed(placed, np.array(pairs), np.full(len(pairs), chip_m2), scenes),
            wanted="0 m2",
            fix="leave one of them out",
        )


def digest(image: NDArray[np.generic], valid: NDArray[np.bool_]) -> str:
    """Hash the valid pixels of a chip; empty if all are equal, as on water or in shadow.

    Args:
        image: (bands, size, size).
        valid: (size, size).
    """
    pixels = image[:, valid]
    if (pixels == pixels[:, :1]).all():
        return ""
    return hashlib.blake2b(valid.tobytes() + pixels.tobytes(), digest_size=16).hexdigest()


def leak(shared: Links, names: SplitNames) -> NDArray[np.bool_]:
    """Find the overlapping pairs that lie in different splits of train, val and test, (pairs,)."""
    one, other = names[shared.pairs].T
    different: NDArray[np.bool_] = (one != other) & (one != LEFT_OUT) & (other != LEFT_OUT)
    return different


def check_splits_apart(
    placed: PlacedChips, shared: Links, names: SplitNames, scenes: Sequence[str]
) -> float:
    """Compute the overlap of train, val and test, and refuse it if it is not 0.

    Args:
        placed: chips with their places.
        shared: all pairs of overlapping chips.
        names: (chips,) split of each chip.
        scenes: names of the scenes, by index.

    Returns:
        The overlap in square metres: 0.

    Raises:
        ChipsError: splits overlap; the error states the area and the chips.
    """
    leaks = leak(shared, names)
    area = float(shared.shared_m2[leaks].sum())
    if area:
        raise ChipsError(
            "train, val and test chips overlap",
            got=_listed(placed, shared.pairs[leaks], shared.shared_m2[leaks], scenes, names),
            wanted="0 m2",
            fix=TO_DO,
        )
    return area


def _listed(
    placed: PlacedChips,
    pairs: NDArray[np.int64],
    areas: NDArray[np.float64],
    scenes: Sequence[str],
    names: SplitNames | None = None,
) -> str:
    """Text such as "1024 m2 in 2 pairs of chips: chip 3 (val, a.tif row 0 col 32) and ..."."""

    def one(chip: int) -> str:
        row, col = placed.corners[chip]
        split = f"{names[chip]}, " if names is not None else ""
        return f"chip {chip} ({split}{scenes[placed.scene[chip]]} row {row} col {col})"

    order = np.argsort(-areas, kind="stable")[:NAMED]
    text = "; ".join(
        f"{one(a)} and {one(b)}, {m2:.0f} m2"
        for (a, b), m2 in zip(pairs[order].tolist(), areas[order], strict=True)
    )
    more = f"; and {len(pairs) - NAMED} more" if len(pairs) > NAMED else ""
    return f"{areas.sum():.0f} m2 in {len(pairs)} pairs of chips: {text}{more}"
