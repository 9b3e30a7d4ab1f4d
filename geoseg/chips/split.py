"""Which chips train, which stop the training, which measure: whole blocks of space, apart."""

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

from geoseg.chips.overlaps import Placed
from geoseg.errors import ChipsError

type Folds = int | Literal["scenes"]
type Names = NDArray[np.str_]
type Draw = Callable[[np.random.Generator], list[Names]]

TRAIN, VAL, TEST, LEFT_OUT = "train", "val", "test", "buffer"
TRIALS = 400
ENOUGH = 0.4
"""Share of the chips, with all classes, that shall be left to train on; with less, blocks and
buffer get smaller."""

logger = logging.getLogger(__name__)


def blocks_of(placed: Placed, side: int) -> NDArray[np.int64]:
    """The block each chip lies in, (chips,): squares of ``side`` pixels, numbered per scene."""
    cells = np.column_stack([placed.scene, placed.corners // side])
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, eq=False)
class Split:
    """A division of chips, or one for each fold.

    Attributes:
        rounds: (rounds, chips) "train", "val", "test" or "buffer"; one round without folds.
        blocks: (chips,) block of each chip.
        block: side of a block in pixels.
        buffer: pixels between training and held-out chips.
    """

    rounds: Names
    blocks: NDArray[np.int64]
    block: int
    buffer: int


def choose_split(
    placed: Placed,
    *,
    block_sides: Sequence[int],
    buffers: Sequence[int],
    shares: tuple[float, float],
    seed: int,
    fixed: Names | None = None,
    folds: Folds | None = None,
) -> Split:
    """Split with the widest buffer, and then the largest blocks, that leave enough to train on.

    Args:
        placed: the chips.
        block_sides: sides of blocks to try, the most wanted first.
        buffers: buffers to try, the most wanted first.
        shares: wanted shares of validation and test; with folds only that of test counts.
        seed: of the random assignments.
        fixed: (chips,) "val", "test" or "buffer" for chips that are so whatever the shares say,
            and "" for the others.
        folds: how many folds, or "scenes" for one by scene.

    Raises:
        ChipsError: none of them leaves chips in every split that was asked for.
    """
    best: tuple[float, Split] | None = None
    problem: ChipsError | None = None
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
            "blocks of %d px and a buffer of %d px: with %d px too few chips would train",
            best[1].block, best[1].buffer, buffers[0],
        )  # fmt: skip
    return best[1]


def split_blocks(
    placed: Placed,
    blocks: NDArray[np.int64],
    *,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    fixed: Names | None = None,
) -> Names:
    """Assign every chip to "train", "val", "test" or "buffer".

    Whole blocks are held out. Of many random assignments the one is taken whose held-out blocks
    come closest to the wanted share of every class while leaving the most chips to train on.
    Training chips nearer than ``buffer`` pixels to a held-out chip are left out.

    Args:
        placed: the chips.
        blocks: (chips,) block of each chip.
        shares: wanted shares of validation and test.
        buffer: pixels between training and held-out chips.
        seed: of the random assignments.
        fixed: (chips,) "val", "test" or "buffer" for chips that are so whatever the shares say,
            and "" for the others.

    Returns:
        (chips,) names.

    Raises:
        ChipsError: no assignment leaves chips in every split that was asked for.
    """
    free = _free(blocks, fixed)

    def draw(rng: np.random.Generator) -> list[Names]:
        of_block = np.full(int(blocks.max()) + 1, TRAIN, dtype="U6")
        order = rng.permutation(free)
        n_val, n_test = (_count(len(of_block), share) for share in shares)
        of_block[order[:n_val]] = VAL
        of_block[order[n_val : n_val + n_test]] = TEST
        return [of_block[blocks]]

    names: Names = _best(placed, blocks, draw, shares, buffer, seed, fixed)[0]
    return names


def fold_blocks(
    placed: Placed,
    blocks: NDArray[np.int64],
    folds: Folds,
    *,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    fixed: Names | None = None,
) -> Names:
    """Assign every chip once for each fold; each chip that is not test validates in one of them.

    Args:
        placed: the chips.
        blocks: (chips,) block of each chip.
        folds: how many, dealt by blocks; or "scenes", which leaves out one scene at a time.
        shares: wanted share of test, the second; its blocks are test in all folds.
        buffer: pixels between training and held-out chips.
        seed: of the random assignments.
        fixed: as in `split_blocks`.

    Returns:
        (folds, chips) names.

    Raises:
        ChipsError: a fold has no chips to train or to validate on.
    """
    free = _free(blocks, fixed)
    scenes = np.unique(placed.scene, return_inverse=True)[1]
    count = int(scenes.max()) + 1 if folds == "scenes" else folds
    n_test = _count(int(blocks.max()) + 1, shares[1])

    def draw(rng: np.random.Generator) -> list[Names]:
        order = rng.permutation(free)
        of_block = np.full(int(blocks.max()) + 1, -1)
        of_block[order[n_test:]] = np.arange(len(order) - n_test) % count
        fold = np.where(of_block[blocks] < 0, -1, scenes) if folds == "scenes" else of_block[blocks]
        held = np.where(fold < 0, TEST, TRAIN)
        return [np.where(fold == each, VAL, held) for each in range(count)]

    wanted = (1 - shares[1]) / count, shares[1]
    return _best(placed, blocks, draw, wanted, buffer, seed, fixed)


def _free(blocks: NDArray[np.int64], fixed: Names | None) -> NDArray[np.int64]:
    """The blocks that may be drawn: those without a chip that is fixed."""
    taken = blocks[fixed != ""] if fixed is not None else []
    return np.setdiff1d(blocks, taken)


def _count(blocks: int, share: float) -> int:
    return max(1, round(blocks * share)) if share else 0


def _best(
    placed: Placed,
    blocks: NDArray[np.int64],
    draw: Draw,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    fixed: Names | None,
) -> Names:
    """Of many draws the one that costs least, (rounds, chips)."""
    near, over = _neighbours(placed, buffer), _neighbours(placed, 0)
    finish = partial(_with_buffer, near=near, over=over, fixed=fixed)
    rng = np.random.default_rng(seed)
    best: tuple[float, Names] | None = None
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


def _trained(names: Names, pixels: NDArray[np.int64]) -> float:
    """Share of the chips that train, times the share of the classes that they show."""
    train = names == TRAIN
    shown = (pixels[train].sum(axis=0) > 0).sum() / (pixels.sum(axis=0) > 0).sum()
    return float(train.mean() * shown)


def _with_buffer(names: Names, near: csr_array, over: csr_array, fixed: Names | None) -> Names:
    """Leave out training chips near held-out ones, and validation chips on ground of test."""
    if fixed is not None:
        names = np.where(fixed != "", fixed, names)
    close = near @ ((names == VAL) | (names == TEST)).astype(np.int64) > 0
    common = over @ (names == TEST).astype(np.int64) > 0
    return np.where((names == TRAIN) & close | (names == VAL) & common, LEFT_OUT, names)


def _neighbours(placed: Placed, buffer: int) -> csr_array:
    """(chips, chips): 1 where two chips are nearer than the buffer, or overlap."""
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


def _cost(names: Names, pixels: NDArray[np.int64], shares: tuple[float, float]) -> float:
    """How far an assignment is from the wanted shares; infinite when a split is empty."""
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
    return cost + 2 * float(np.mean(trained == 0))
