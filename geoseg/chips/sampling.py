"""Random order of training chips, the same for the same seed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.crops import Cropper, Draws

type Sampling = Literal["uniform", "balanced", "hard"]

EASY = 0.5
"""Fraction of the draws of hard-chip sampling that go to all chips alike, so that none is lost."""


class ChipSampler:
    """Draws batches of crops; those of an epoch depend on seed and epoch only.

    Everything random happens here, in the training process; workers only read. As a sampler of
    torch's DataLoader it yields whole batches, and Lightning sets the epoch. Processes that train
    together, one per GPU, take turns.

    Args:
        cropper: chips to draw from, and the side of crops.
        batch: crops in a batch.
        steps: batches in an epoch; None yields each chip once, whole and in order.
        sampling: "uniform" draws all chips equally often; "balanced" draws a class, and then a
            chip in proportion to its pixels of that class; "hard" draws in proportion to the last
            loss.
        shift: whether crops begin anywhere, also across the borders of chips.
        seed: seed of the draws.
    """

    def __init__(
        self,
        cropper: Cropper,
        *,
        batch: int,
        steps: int | None,
        sampling: Sampling = "uniform",
        shift: bool = True,
        seed: int = 0,
    ) -> None:
        self.batch, self.steps, self.sampling, self.shift = batch, steps, sampling, shift
        self.losses = np.full(len(cropper.positions), np.nan)
        self._cropper, self._seed, self._epoch = cropper, seed, 0

    def __len__(self) -> int:
        """Batches in an epoch."""
        count = self.steps or -(-len(self._cropper.positions) // self.batch)
        return count // _share()[1] if self.steps else count

    def __iter__(self) -> Iterator[Draws]:
        """The batches of the epoch, (crops, 3) draws each."""
        positions = self._cropper.positions
        if self.steps is None:
            for at in range(0, len(positions), self.batch):
                chips = positions[at : at + self.batch]
                yield np.column_stack([chips, np.zeros((len(chips), 2), dtype=np.int64)])
            return
        # drawn for the whole epoch at once: every process draws the same, and keeps its turns
        rng = np.random.default_rng([self._seed, self._epoch])
        chips = positions[self._chosen(rng, self.batch * self.steps)]
        rank, share = _share()
        for step, each in enumerate(chips.reshape(self.steps, self.batch)):
            draws = self._placed(each, rng)
            if step % share == rank and step < len(self) * share:
                yield draws

    def set_epoch(self, epoch: int) -> None:
        """Set the next epoch; Lightning calls it."""
        self._epoch = epoch

    def take_losses(self, chips: NDArray[np.int64], losses: NDArray[np.floating]) -> None:
        """Record the losses of some chips; the next epoch draws by them."""
        self.losses[np.searchsorted(self._cropper.positions, chips)] = losses

    def _chosen(self, rng: np.random.Generator, count: int) -> NDArray[np.intp]:
        chips = len(self._cropper.positions)
        if self.sampling == "uniform":
            rounds = [rng.permutation(chips) for _ in range(-(-count // chips))]
            return np.concatenate(rounds)[:count]
        pixels = self._cropper.chips.pixels[self._cropper.positions]
        weights = balanced(pixels) if self.sampling == "balanced" else hard(self.losses)
        return rng.choice(chips, size=count, p=weights)

    def _placed(self, chips: NDArray[np.intp], rng: np.random.Generator) -> Draws:
        side, size = self._cropper.side, self._cropper.chips.spec.size
        low, high = sorted((0, size - side))
        reach = min(side, size) // 2 if self.shift else 0
        corners = rng.integers(low - reach, high + reach, (len(chips), 2), endpoint=True)
        return self._cropper.inside(np.column_stack([chips, corners]))


def _share() -> tuple[int, int]:
    """Rank of this process, and the number of processes that train together."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def balanced(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """Probability of each chip if a class is drawn first, and then one of its pixels.

    Args:
        pixels: (chips, classes) labelled pixels.

    Example:
        >>> balanced(np.array([[90, 0], [10, 0], [0, 5]])).tolist()
        [0.45, 0.05, 0.5]
    """
    total = pixels.sum(axis=0)
    shares = pixels[:, total > 0] / total[total > 0]
    weights: NDArray[np.float64] = shares.mean(axis=1)
    return weights / weights.sum()


def hard(losses: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probability of each chip by its last loss; half of the draws go to all alike.

    Args:
        losses: (chips,) last losses, at least 0; NaN for chips not seen yet, which get the mean.

    Example:
        >>> hard(np.array([3.0, 1.0, np.nan, 2.0])).tolist()
        [0.3125, 0.1875, 0.25, 0.25]
    """
    seen = np.isfinite(losses)
    known = np.where(seen, losses, losses[seen].mean() if seen.any() else 1.0)
    even = np.full(len(losses), 1 / len(losses))
    return EASY * even + (1 - EASY) * known / known.sum() if known.sum() > 0 else even


@dataclass(frozen=True)
class Batches:
    """How crops are drawn.

    Attributes:
        batch: crops in a batch.
        steps: batches in an epoch; None yields each chip once, in order.
        side: side of a crop in pixels; None for that of the chips.
        sampling: "uniform", "balanced" or "hard"; see `ChipSampler`.
        shift: whether crops begin anywhere, also across the borders of chips.
        seed: seed of the draws.
        workers: processes that read; 0 reads in this one.
    """

    batch: int
    steps: int | None = None
    side: int | None = None
    sampling: Sampling = "uniform"
    shift: bool = True
    seed: int = 0
    workers: int = 0
