"""The order in which chips are seen: random, the same for the same seed, by one rule."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from geoseg.chips.crops import Cropper, Draws

type Sampling = Literal["uniform", "balanced", "hard"]

EASY = 0.5
"""Share of the draws of hard-chip weighting that go to all chips alike, so that none is lost."""


class Order:
    """Batches of draws; those of an epoch follow from seed and epoch, and nothing else.

    Everything random happens here, in the process that trains: workers only read. As a sampler of
    torch's DataLoader it hands out whole batches, and Lightning tells it the epoch. Processes that
    train together, one per GPU, share the batches out.

    Args:
        cropper: which chips, and how large crops are.
        batch: crops in a batch.
        steps: batches in an epoch; None sees each chip once, in order, whole.
        sampling: "uniform" sees every chip as often as any other; "balanced" draws a class, and
            then a chip by its pixels of that class; "hard" draws chips by their last loss.
        shift: whether crops begin anywhere, also across the borders of chips.
        seed: of everything random.
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
        rng = np.random.default_rng([self._seed, self._epoch])
        chips = positions[self._chosen(rng, self.batch * self.steps)]
        rank, share = _share()
        for step, each in enumerate(chips.reshape(self.steps, self.batch)):
            draws = self._placed(each, rng)
            if step % share == rank and step < len(self) * share:
                yield draws

    def set_epoch(self, epoch: int) -> None:
        """Say which epoch comes next."""
        self._epoch = epoch

    def learn(self, chips: NDArray[np.int64], losses: NDArray[np.floating]) -> None:
        """Take the losses of some chips back; the next epoch draws by them."""
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
    """Which of how many processes that train together this is."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 0, 1
    return distributed.get_rank(), distributed.get_world_size()


def balanced(pixels: NDArray[np.int64]) -> NDArray[np.float64]:
    """The chance of each chip when a class is drawn first, and then one of its pixels.

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
    """The chance of each chip by its last loss; half of the draws go to all alike.

    Args:
        losses: (chips,), at least 0; NaN where a chip was not seen yet, which counts as the mean.

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
        steps: batches in an epoch; None sees each chip once, in order.
        side: of a crop in pixels; the chips' own when None.
        sampling: "uniform", "balanced" or "hard".
        shift: whether crops begin anywhere.
        seed: of everything random.
        workers: processes that read; 0 reads in this one.
    """

    batch: int
    steps: int | None = None
    side: int | None = None
    sampling: Sampling = "uniform"
    shift: bool = True
    seed: int = 0
    workers: int = 0
