"""A DataLoader that reads batches of chips at once."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from geoseg.chips.chip_set import ChipSet, SplitName
from geoseg.chips.crops import Cropper, Draws
from geoseg.chips.sampling import Batches, ChipSampler
from geoseg.errors import ChipsError


@dataclass(frozen=True)
class Crops(Dataset[dict[str, Tensor]]):
    """A data set whose indices are the draws of whole batches.

    Attributes:
        cropper: reads crops.
    """

    cropper: Cropper

    def __getitem__(self, draws: Draws) -> dict[str, Tensor]:
        """Read a batch: image and valid as stored, mask (uint8 class ids, 255 ignored), chip."""
        batch = self.cropper(draws)
        return {
            "image": torch.from_numpy(batch.images),
            "valid": torch.from_numpy(batch.valid),
            "mask": torch.from_numpy(batch.labels),
            "chip": torch.from_numpy(batch.chips),
        }


def loader(chips: ChipSet, split: SplitName, batches: Batches) -> DataLoader[dict[str, Tensor]]:
    """Make a loader of the chips of a split.

    A batch is a dictionary of "image" (crops, bands, side, side) in the scenes' dtype, "valid"
    and "mask" (crops, side, side), and "chip" (crops,), the chip each crop was drawn for. Scaling
    is left to the device that computes: raw pixels are half or a quarter of the bytes.

    The loader's ``sampler`` is a `ChipSampler`. Crops never show a chip of another split. The same
    seed gives the same batches, whatever the number of workers; these are spawned, and map the
    files themselves.

    Args:
        chips: chip set.
        split: split to load.
        batches: how crops are drawn.

    Raises:
        ChipsError: the split has no chips.
    """
    positions = chips.positions(split)
    if not len(positions):
        raise ChipsError(f"has no chips in the {split} split", where=chips.folder)
    cropper = Cropper(chips, positions, batches.side or chips.spec.size)
    order = ChipSampler(
        cropper,
        batch=batches.batch,
        steps=batches.steps,
        sampling=batches.sampling,
        shift=batches.shift,
        seed=batches.seed,
    )
    # spawned on every system: a forked worker would inherit the threads of torch and GDAL
    many = batches.workers > 0
    return DataLoader(
        Crops(cropper),
        batch_size=None,  # the sampler yields whole batches
        sampler=order,
        num_workers=batches.workers,
        multiprocessing_context="spawn" if many else None,
        persistent_workers=many,
        pin_memory=torch.cuda.is_available(),
    )
