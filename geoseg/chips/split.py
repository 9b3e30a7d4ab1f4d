"""Spatial splits of chips into train, val and test: whole blocks, with a buffer between them.

Neighbouring chips look alike, so a random split would overstate accuracy (Roberts et al., 2017).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from geoseg.chips.overlaps import PlacedChips
from geoseg.errors import ChipsError

type Folds = int | Literal["scenes"]
type SplitNames = NDArray[np.str_]
type Draw = Callable[[np.random.Generator], list[SplitNames]]

TRAIN, VAL, TEST, LEFT_OUT = "train", "val", "test", "buffer"
TRIALS = 400
"""Random assignments that are compared, with up to 1000 blocks; fewer with more."""
ENOUGH = 0.4
"""Fraction of the chips, with all classes, that should be left to train on; below it smaller blocks
and buffers are tried."""

logger = logging.getLogger(__name__)


def blocks_of(placed: PlacedChips, side: int) -> NDArray[np.int64]:
    """Number the block that each chip lies in, (chips,); blocks are squares within a scene.

    Args:
        placed: chips with their places.
        side: side of a block in pixels.
    """
    cells = np.column_stack([placed.scene, placed.corners // side])
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, eq=False)
class Split:
    """A split of chips, or one per fold.

    Attributes:
        rounds: (folds, chips) "train", "val", "test" or "buffer"; one row without folds.
        blocks: (chips,) number of the block of each chip.
        block: side of a block in pixels.
        buffer: pixels between training and held-out chips.
    """

    rounds: SplitNames
    blocks: NDArray[np.int64]
    block: int
    buffer: int


def choose_split(
    placed: PlacedChips,
    *,
    block_sides: Sequence[int],
    buffers: Sequence[int],
    shares: tuple[float, float],
    seed: int,
    fixed: SplitNames | None = None,
    folds: Folds | None = None,
) -> Split:
    """Split with the widest buffer, then the largest blocks, that leave enough to train on.

    Args:
        placed: chips with their places.
        block_sides: sides of blocks to try, in pixels, by preference.
        buffers: buffers to try, in pixels, by preference.
        shares: fractions of validation and test; with folds the first is not used.
        seed: seed of the random assignments.
        fixed: (chips,) "val", "test" or "buffer" for chips whose split is given, "" for others.
        folds: number of folds, or "scenes" for one per scene; None for a single split.

    Raises:
        ChipsError: no choice leaves chips in every split.
    """
    best: tuple[float, Split] | None = None
    problem: ChipsError | None = None
    # buffers vary slowest: a wide buffer matters more than large blocks
    for buffer, side in product(buffers, block_sides):
        blocks = blocks_of(placed, side)
        rules: dict[str, Any] = {
            "shares": shares, "buffer": buffer, "seed": seed, "fixed": fixed,
        }  # fmt: skip
        try:
            if folds is None:
                rounds = split_blocks(placed, blocks, **rules)[None]
            else:
                rounds = fold_blocks(placed, blocks, folds, **rules)
        except ChipsError as error:
            problem = problem or error
            continue
        trained = min(_trained(names, placed.pixels) for names in rounds)
        if best is None or trained > best[0]:
            best = trained, Split(rounds, blocks, side, buffer)
        if trained >= ENOUGH:
            break
    if best is None:
        assert problem is not None, "there is something to try"
        raise problem
    if best[1].buffer < buffers[0]:
        logger.info(
            "blocks of %d px, buffer %d px: a buffer of %d px leaves too few training chips",
            best[1].block, best[1].buffer, buffers[0],
        )  # fmt: skip
    return best[1]


def split_blocks(
    placed: PlacedChips,
    blocks: NDArray[np.int64],
    *,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    fixed: SplitNames | None = None,
) -> SplitNames:
    """Assign every chip to "train", "val", "test" or "buffer".

    Whole blocks are held out. Of many random assignments the best one comes closest to the
    wanted fraction of every class in the held-out blocks, and leaves the most chips to train on.
    Training chips nearer than ``buffer`` to a held-out chip are left out.

    Args:
        placed: chips with their places.
        blocks: (chips,) number of the block of each chip.
        shares: fractions of validation and test.
        buffer: pixels between training and held-out chips.
        seed: seed of the random assignments.
        fixed: (chips,) "val", "test" or "buffer" for chips whose split is given, "" for others.

    Returns:
        (chips,) names of splits.

    Raises:
        ChipsError: no assignment leaves chips in every split.
    """
    free = _free(blocks, fixed)

    def draw(rng: np.random.Generator) -> list[SplitNames]:
        of_block = np.full(int(blocks.max()) + 1, TRAIN, dtype="U6")
        order = rng.permutation(free)
        n_val, n_test = (_count(len(of_block), share) for share in shares)
        of_block[order[:n_val]] = VAL
        of_block[order[n_val : n_val + n_test]] = TEST
        return [of_block[blocks]]

    names: SplitNames = _best(placed, blocks, draw, shares, buffer, seed, fixed)[0]
    return names


def fold_blocks(
    placed: PlacedChips,
    blocks: NDArray[np.int64],
    folds: Folds,
    *,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    fixed: SplitNames | None = None,
) -> SplitNames:
    """Split once per fold; each chip that is not a test chip validates in one of them.

    Args:
        placed: chips with their places.
        blocks: (chips,) number of the block of each chip.
        folds: number of folds, which blocks are dealt to; or "scenes" to hold out one scene each.
        shares: fractions of validation, not used, and test, whose blocks are the same in all folds.
        buffer: pixels between training and held-out chips.
        seed: seed of the random assignments.
        fixed: see `split_blocks`.

    Returns:
        (folds, chips) names of splits.

    Raises:
        ChipsError: a fold has no chips to train or to validate on.
    """
    free = _free(blocks, fixed)
    scenes = np.unique(placed.scene, return_inverse=True)[1]
    count = int(scenes.max()) + 1 if folds == "scenes" else folds
    n_test = _count(int(blocks.max()) + 1, shares[1])

    def draw(rng: np.random.Generator) -> list[SplitNames]:
        order = rng.permutation(free)
        of_block = np.full(int(blocks.max()) + 1, -1)
        of_block[order[n_test:]] = np.arange(len(order) - n_test) % count
        fold = np.where(of_block[blocks] < 0, -1, scenes) if folds == "scenes" else of_block[blocks]
        held = np.where(fold < 0, TEST, TRAIN)
        return [np.where(fold == each, VAL, held) for each in range(count)]

    wanted = (1 - shares[1]) / count, shares[1]
    return _best(placed, blocks, draw, wanted, buffer, seed, fixed)


def _free(blocks: NDArray[np.int64], fixed: SplitNames | None) -> NDArray[np.int64]:
    """Blocks that may be drawn: those without a chip whose split is given."""
    taken = blocks[fixed != ""] if fixed is not None else []
    return np.setdiff1d(blocks, taken)


def _count(blocks: int, share: float) -> int:
    return max(1, round(blocks * share)) if share else 0


def _best(
    placed: PlacedChips,
    blocks: NDArray[np.int64],
    draw: Draw,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    fixed: SplitNames | None,
) -> SplitNames:
    """The draw with the lowest cost of many, (folds, chips)."""
    near, over = _neighbours(placed, buffer), _neighbours(placed, 0)
    finish = partial(_with_buffer, near=near, over=over, fixed=fixed)
    rng = np.random.default_rng(seed)
    best: tuple[float, SplitNames] | None = None
    # a trial costs time in proportion to the blocks, and many blocks differ less between trials
    for _ in range(max(10, min(TRIALS, TRIALS * 1000 // len(blocks)))):
        rounds = np.stack([finish(names) for names in draw(rng)])
        cost = float(np.mean([_cost(names, placed.pixels, shares) for names in rounds]))
        if best is None or cost < best[0]:
            best = cost, rounds
    assert best is not None, "there are trials"
    if not np.isfinite(best[0]):
        raise ChipsError(
            "the chips cannot be split",
            got=f"{len(placed.scene)} chips in {blocks.max() + 1} blocks, buffer {buffer} px",
            wanted="at least one labelled chip to train, validate and test on",
            fix="cut smaller chips or blocks, or a smaller buffer: --size, --block, --buffer",
        )
    return best[1]


def _trained(names: SplitNames, pixels: NDArray[np.int64]) -> float:
    """Fraction of training chips, times the fraction of the classes among them."""
    train = names == TRAIN
    shown = (pixels[train].sum(axis=0) > 0).sum() / (pixels.sum(axis=0) > 0).sum()
    return float(train.mean() * shown)


def _with_buffer(
    names: SplitNames, near: csr_array, over: csr_array, fixed: SplitNames | None
) -> SplitNames:
    """Leave out training chips near held-out ones, and validation chips that overlap test chips."""
    if fixed is not None:
        names = np.where(fixed != "", fixed, names)
    close = near @ ((names == VAL) | (names == TEST)).astype(np.int64) > 0
    common = over @ (names == TEST).astype(np.int64) > 0
    return np.where((names == TRAIN) & close | (names == VAL) & common, LEFT_OUT, names)


def _neighbours(placed: PlacedChips, buffer: int) -> csr_array:
    """Matrix (chips, chips) with 1 where two chips are nearer than the buffer, or overlap."""
    reach = placed.size + buffer - 1
    links = placed.links
    across = links.pairs[(links.gaps < buffer) | (links.shared_m2 > 0)]
    pairs = [across]
    for scene in np.unique(placed.scene):
        here = np.flatnonzero(placed.scene == scene)
        tree = KDTree(placed.corners[here])
        pairs.append(here[tree.query_pairs(reach, p=np.inf, output_type="ndarray")])
    firsts, seconds = np.concatenate(pairs).T
    rows, cols = np.concatenate([firsts, seconds]), np.concatenate([seconds, firsts])
    count = len(placed.scene)
    return csr_array((np.ones(len(rows), dtype=np.int8), (rows, cols)), shape=(count, count))


def _cost(names: SplitNames, pixels: NDArray[np.int64], shares: tuple[float, float]) -> float:
    """Distance of an assignment from the wanted fractions; infinite if a split is empty."""
    total = pixels.sum(axis=0)
    cost = float(np.mean(names == LEFT_OUT))
    for name, share in ((VAL, shares[0]), (TEST, shares[1])):
        chosen = names == name
        if not share:
            continue
        if not chosen.any():
            return np.inf
        got = pixels[chosen].sum(axis=0)[total > 0] / total[total > 0]
        cost += float(np.abs(got - share).mean()) + float(np.mean(got == 0))
    trained = pixels[names == TRAIN].sum(axis=0)[total > 0]
    if not trained.sum():
        return np.inf
    # a class that is missing from training costs more than one missing from a held-out split
    return cost + 2 * float(np.mean(trained == 0))
