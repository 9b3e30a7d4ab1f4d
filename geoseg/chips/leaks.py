"""Ground that lies in two splits: found, measured, refused."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.overlaps import Links, Placed
from geoseg.chips.split import LEFT_OUT, Names
from geoseg.errors import ChipsError

NAMED = 3
TO_DO = (
    "leave one of them out, say with --areas which ground is train, val and test, or with "
    "--overlapping buffer leave out the training chips that share it"
)


def check_scenes_apart(placed: Placed, scenes: Sequence[str]) -> None:
    """Refuse scenes whose chips share ground.

    Raises:
        ChipsError: some do; says how many square metres, and which chips.
    """
    shared = placed.links.shared_m2 > 0
    if shared.any():
        pairs, areas = placed.links.pairs[shared], placed.links.shared_m2[shared]
        raise ChipsError(
            "scenes share ground, which would lie in training and held-out chips at once",
            got=_listed(placed, pairs, areas, scenes),
            wanted="0 m2",
            fix=TO_DO,
        )


def check_no_copies(
    placed: Placed, digests: Sequence[str], chip_m2: float, scenes: Sequence[str]
) -> None:
    """Refuse scenes that hold the same pixels under another name, wherever they say they lie.

    Args:
        placed: the chips.
        digests: by chip, of its pixels; empty where they are all alike.
        chip_m2: area of a chip.
        scenes: names.

    Raises:
        ChipsError: some do; says how many square metres, and which chips.
    """
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
    """Of the valid pixels of a chip; empty where they are all alike, as on water or in shadow."""
    pixels = image[:, valid]
    if (pixels == pixels[:, :1]).all():
        return ""
    return hashlib.blake2b(valid.tobytes() + pixels.tobytes(), digest_size=16).hexdigest()


def leak(shared: Links, names: Names) -> NDArray[np.bool_]:
    """Which of the pairs that share ground lie in different splits, of train, val and test."""
    one, other = names[shared.pairs].T
    different: NDArray[np.bool_] = (one != other) & (one != LEFT_OUT) & (other != LEFT_OUT)
    return different


def check_splits_apart(placed: Placed, shared: Links, names: Names, scenes: Sequence[str]) -> float:
    """Compute the ground that train, val and test share; refuse it if there is any.

    Args:
        placed: the chips.
        shared: all pairs of chips that share ground.
        names: (chips,) the split of each.
        scenes: names.

    Returns:
        Square metres: 0.

    Raises:
        ChipsError: they share some; says how many square metres, and which chips.
    """
    leaks = leak(shared, names)
    area = float(shared.shared_m2[leaks].sum())
    if area:
        raise ChipsError(
            "train, val and test chips share ground",
            got=_listed(placed, shared.pairs[leaks], shared.shared_m2[leaks], scenes, names),
            wanted="0 m2",
            fix=TO_DO,
        )
    return area


def _listed(
    placed: Placed,
    pairs: NDArray[np.int64],
    areas: NDArray[np.float64],
    scenes: Sequence[str],
    names: Names | None = None,
) -> str:
    """The area and the chips: "1024 m2 in 2 pairs: chip 3 (val, a.tif row 0 col 32) and ..."."""

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
