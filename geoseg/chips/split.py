"""Which chips train, which stop the training, which measure: whole blocks of space, apart."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import KDTree

from geoseg.errors import ChipsError

TRAIN, VAL, TEST, LEFT_OUT = "train", "val", "test", "buffer"
TRIALS = 400
ENOUGH = 0.4
"""Share of the chips, with all classes, that shall be left to train on; with less, blocks and
buffer get smaller."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class Placed:
    """Chips with their places.

    Attributes:
        scene: (chips,) index of the scene.
        corners: (chips, 2) row and column.
        size: side of a chip in pixels.
        pixels: (chips, classes) labelled pixels by class.
    """

    scene: NDArray[np.int64]
    corners: NDArray[np.int64]
    size: int
    pixels: NDArray[np.int64]


def blocks_of(placed: Placed, side: int) -> NDArray[np.int64]:
    """The block each chip lies in, (chips,): squares of ``side`` pixels, numbered per scene."""
    cells = np.column_stack([placed.scene, placed.corners // side])
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1)


@dataclass(frozen=True, eq=False)
class Split:
    """A division of chips.

    Attributes:
        names: (chips,) "train", "val", "test" or "buffer".
        blocks: (chips,) block of each chip.
        block: side of a block in pixels.
        buffer: pixels between training and held-out chips.
    """

    names: NDArray[np.str_]
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
    held: NDArray[np.bool_] | None = None,
) -> Split:
    """Split with the widest buffer, and then the largest blocks, that leave enough to train on.

    Args:
        placed: the chips.
        block_sides: sides of blocks to try, the most wanted first.
        buffers: buffers to try, the most wanted first.
        shares: wanted shares of validation and test.
        seed: of the random assignments.
        held: (chips,) True for chips that are test whatever the shares say.

    Raises:
        ChipsError: none of them leaves chips in every split that was asked for.
    """
    best: tuple[float, Split] | None = None
    problem: ChipsError | None = None
    for buffer, side in product(buffers, block_sides):
        blocks = blocks_of(placed, side)
        try:
            names = split_blocks(placed, blocks, shares=shares, buffer=buffer, seed=seed, held=held)
        except ChipsError as error:
            problem = problem or error
            continue
        trained = _trained(names, placed.pixels)
        if best is None or trained > best[0]:
            best = trained, Split(names, blocks, side, buffer)
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


def _trained(names: NDArray[np.str_], pixels: NDArray[np.int64]) -> float:
    """Share of the chips that train, times the share of the classes that they show."""
    train = names == TRAIN
    shown = (pixels[train].sum(axis=0) > 0).sum() / (pixels.sum(axis=0) > 0).sum()
    return float(train.mean() * shown)


def split_blocks(
    placed: Placed,
    blocks: NDArray[np.int64],
    *,
    shares: tuple[float, float],
    buffer: int,
    seed: int,
    held: NDArray[np.bool_] | None = None,
) -> NDArray[np.str_]:
    """Assign every chip to "train", "val", "test" or "buffer".

    Whole blocks are held out. Of many random assignments the one is taken whose held-out blocks
    come closest to the wanted share of every class while leaving the most chips to train on.
    Training chips nearer than ``buffer`` pixels to a held-out chip of their scene are left out.

    Args:
        placed: the chips.
        blocks: (chips,) block of each chip.
        shares: wanted shares of validation and test.
        buffer: pixels between training and held-out chips.
        seed: of the random assignments.
        held: (chips,) True for chips that are test whatever the shares say.

    Returns:
        (chips,) names.

    Raises:
        ChipsError: no assignment leaves chips in every split that was asked for.
    """
    near = _neighbours(placed, buffer)
    rng = np.random.default_rng(seed)
    best: tuple[float, NDArray[np.str_]] | None = None
    for _ in range(max(10, min(TRIALS, TRIALS * 1000 // len(blocks)))):
        of_block = _draw(blocks, shares, held, rng)
        names = _with_buffer(of_block[blocks], near, held)
        cost = _cost(names, placed.pixels, shares)
        if best is None or cost < best[0]:
            best = cost, names
    assert best is not None, "there are trials"
    if not np.isfinite(best[0]):
        raise ChipsError(
            "the chips cannot be split",
            got=f"{len(placed.scene)} chips in {blocks.max() + 1} blocks, buffer {buffer} px",
            wanted="at least one labelled chip to train, validate and test on",
            fix="cut smaller chips or blocks, or a smaller buffer: --size, --block, --buffer",
        )
    return best[1]


def overlap_px(placed: Placed, names: NDArray[np.str_]) -> int:
    """Pixels that a training chip shares with a held-out one."""
    total = 0
    train, held = names == TRAIN, (names == VAL) | (names == TEST)
    for scene in np.unique(placed.scene):
        here = placed.scene == scene
        a, b = placed.corners[here & train], placed.corners[here & held]
        gaps = placed.size - np.abs(a[:, None, :] - b[None, :, :])
        total += int(np.clip(gaps, 0, None).prod(axis=2).sum())
    return total


def _draw(
    blocks: NDArray[np.int64],
    shares: tuple[float, float],
    held: NDArray[np.bool_] | None,
    rng: np.random.Generator,
) -> NDArray[np.str_]:
    count = int(blocks.max()) + 1
    of_block = np.full(count, TRAIN, dtype="U6")
    free = np.ones(count, dtype=bool)
    if held is not None:
        free[np.unique(blocks[held])] = False
    order = rng.permutation(np.flatnonzero(free))
    n_val, n_test = (max(1, round(count * share)) if share else 0 for share in shares)
    of_block[order[:n_val]] = VAL
    of_block[order[n_val : n_val + n_test]] = TEST
    return of_block


def _with_buffer(
    names: NDArray[np.str_], near: csr_array, held: NDArray[np.bool_] | None
) -> NDArray[np.str_]:
    if held is not None:
        names = np.where(held, TEST, names)
    close = near @ ((names == VAL) | (names == TEST)).astype(np.int64) > 0
    return np.where((names == TRAIN) & close, LEFT_OUT, names)


def _neighbours(placed: Placed, buffer: int) -> csr_array:
    """(chips, chips): 1 where two chips of a scene are nearer than the buffer, or overlap."""
    reach = placed.size + buffer - 1
    firsts, seconds = [], []
    for scene in np.unique(placed.scene):
        here = np.flatnonzero(placed.scene == scene)
        pairs = KDTree(placed.corners[here]).query_pairs(reach, p=np.inf, output_type="ndarray")
        firsts += [here[pairs[:, 0]], here[pairs[:, 1]]]
        seconds += [here[pairs[:, 1]], here[pairs[:, 0]]]
    rows, cols = np.concatenate(firsts), np.concatenate(seconds)
    count = len(placed.scene)
    return csr_array((np.ones(len(rows), dtype=np.int8), (rows, cols)), shape=(count, count))


def _cost(names: NDArray[np.str_], pixels: NDArray[np.int64], shares: tuple[float, float]) -> float:
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
