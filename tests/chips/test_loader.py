"""Loading chips: the scene's own pixels, wherever a crop begins; the same order every time."""

from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from small_scene import SmallScene

from geoseg.chips import ChipSet, open_chips
from geoseg.chips.crops import Batch, Cropper
from geoseg.chips.loader import loader
from geoseg.chips.sampling import Batches, ChipSampler
from geoseg.errors import ChipsError
from geoseg.models.input_scaling import scaled

SIZE = 32
ROWS, COLS = 96, 128


@pytest.fixture(scope="module")
def chips(chips: Path) -> ChipSet:
    """3 x 4 chips of 32 px."""
    return open_chips(chips)


def everywhere(chips: ChipSet, side: int) -> Cropper:
    return Cropper(chips, np.arange(12), side)


def check(batch: Batch, draws: np.ndarray, chips: ChipSet, scene: SmallScene, side: int) -> None:
    """Compare crops with windows of the scene; outside it nothing is valid."""
    margin = 160
    pixels = np.pad(scene.pixels, ((0, 0), (margin, margin), (margin, margin)))
    valid = np.pad(scene.valid, margin)
    for crop, (chip, row, col) in enumerate(draws):
        corner = chips.place(chip)[1]
        top, left = corner.row + row + margin, corner.col + col + margin
        here = slice(top, top + side), slice(left, left + side)
        assert np.array_equal(batch.valid[crop], valid[here])
        real = valid[here]
        assert np.array_equal(batch.images[crop][:, real], pixels[:, *here][:, real])
        assert (batch.labels[crop][~real] == 255).all()


@pytest.mark.parametrize("side", [20, 32, 48, 80])
def test_a_crop_is_the_window_of_the_scene_that_it_says(
    chips: ChipSet, scene: SmallScene, side: int
) -> None:
    rng = np.random.default_rng(side)
    draws = np.column_stack([rng.integers(0, 12, 60), rng.integers(-40, 40, (60, 2))])
    batch = everywhere(chips, side)(draws)
    check(batch, draws, chips, scene, side)
    assert np.array_equal(batch.chips, draws[:, 0])


def test_chips_as_they_are_come_whole(chips: ChipSet) -> None:
    batch = everywhere(chips, SIZE)(np.array([[7, 0, 0], [2, 0, 0]]))
    assert np.array_equal(batch.images, chips.images[[7, 2]])
    assert np.array_equal(batch.labels, chips.labels[[7, 2]])


def test_a_crop_shows_nothing_of_a_chip_it_may_not_see(chips: ChipSet) -> None:
    """Of chips 0 and 5 (row 1, column 1): half of a crop over both is empty."""
    batch = Cropper(chips, np.array([0, 5]), SIZE)(np.array([[5, -16, -16]]))
    assert not batch.valid[0, :16, 16:].any()
    assert not batch.valid[0, 16:, :16].any()
    assert np.array_equal(batch.images[0, :, 16:, 16:], chips.images[5, :, :16, :16])
    assert (batch.labels[0, :16, 16:] == 255).all()
    assert (batch.images[0, :, :16, 16:] == 0).all()


@pytest.mark.parametrize("side", [20, 32])
def test_drawn_crops_lie_wholly_on_the_split_and_begin_anywhere(chips: ChipSet, side: int) -> None:
    positions = np.array([0, 1, 2, 4, 5, 8])
    order = ChipSampler(Cropper(chips, positions, side), batch=6, steps=200, seed=3)
    draws = np.concatenate(list(order))
    corners = chips.index[["row", "col"]].to_numpy()[draws[:, 0]] + draws[:, 1:]
    cells = set(map(tuple, chips.index[["row", "col"]].to_numpy()[positions] // SIZE))
    ends = corners + side - 1
    for row, col in ((corners, corners), (corners, ends), (ends, corners), (ends, ends)):
        assert set(zip(row[:, 0] // SIZE, col[:, 1] // SIZE, strict=True)) <= cells
    assert len(np.unique(corners, axis=0)) > 200


def test_uniform_order_shows_each_chip_equally_often(chips: ChipSet) -> None:
    order = ChipSampler(everywhere(chips, SIZE), batch=4, steps=9, seed=1)
    draws = np.concatenate(list(order))
    assert np.bincount(draws[:, 0]).tolist() == [3] * 12
    assert len(order) == 9


def test_balanced_order_shows_each_class_as_often(chips: ChipSet) -> None:
    """Buildings are 2400 of 10 368 labelled pixels, but a half of what is drawn."""
    order = ChipSampler(
        everywhere(chips, SIZE), batch=100, steps=40, sampling="balanced", shift=False
    )
    drawn = np.concatenate(list(order))[:, 0]
    with_building = np.flatnonzero(chips.pixels[:, 1])
    share = chips.pixels / chips.pixels.sum(axis=0)
    expected = share.mean(axis=1)[with_building].sum()
    assert np.isin(drawn, with_building).mean() == pytest.approx(expected, abs=0.03)


def test_hard_order_follows_the_losses_it_was_told(chips: ChipSet) -> None:
    order = ChipSampler(everywhere(chips, SIZE), batch=100, steps=40, sampling="hard", shift=False)
    losses = np.full(12, 0.1)
    losses[7] = 2.9
    order.take_losses(np.arange(12), losses)
    drawn = np.bincount(np.concatenate(list(order))[:, 0]) / 4000
    assert drawn[7] == pytest.approx(0.5 / 12 + 0.5 * 2.9 / 4.0, abs=0.03)
    assert drawn[3] == pytest.approx(0.5 / 12 + 0.5 * 0.1 / 4.0, abs=0.02)


def test_epochs_differ_and_come_back_the_same(chips: ChipSet) -> None:
    order = ChipSampler(everywhere(chips, SIZE), batch=4, steps=9, seed=1)
    first = np.concatenate(list(order))
    order.set_epoch(1)
    second = np.concatenate(list(order))
    again = ChipSampler(everywhere(chips, SIZE), batch=4, steps=9, seed=1)
    again.set_epoch(1)
    assert np.array_equal(np.concatenate(list(again)), second)
    assert not np.array_equal(first, second)


def test_validation_goes_through_all_chips_in_order(chips: ChipSet) -> None:
    batches = list(loader(chips, "val", Batches(batch=2)))
    assert torch.cat([each["chip"] for each in batches]).tolist() == chips.positions("val").tolist()
    assert batches[0]["image"].dtype == torch.uint16
    assert batches[0]["mask"].dtype == torch.uint8


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # more workers than cores
@pytest.mark.slow
def test_workers_read_the_same_batches(chips: ChipSet) -> None:
    drawn = [
        list(loader(chips, "train", Batches(batch=4, steps=5, seed=2, workers=workers)))
        for workers in (0, 2)
    ]
    for alone, spread in zip(*drawn, strict=True):
        assert alone.keys() == spread.keys()
        assert all(torch.equal(alone[key], spread[key]) for key in alone)


def test_a_chip_set_pickles_as_its_folder(chips: ChipSet) -> None:
    data = pickle.dumps(chips)
    assert len(data) < 500
    assert np.array_equal(pickle.loads(data).labels, chips.labels)


def test_a_split_without_chips_is_refused(chips: ChipSet) -> None:
    with pytest.raises(ChipsError, match="no chips in the buffer split"):
        loader(chips, "buffer", Batches(batch=2))  # type: ignore[arg-type]


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32", "float64"])
def test_scaling_gives_numpys_floats_bit_for_bit(chips: ChipSet, dtype: str) -> None:
    images, valid = np.array(chips.images).astype(dtype), np.array(chips.valid)
    assert not valid.all()
    mean, std = (1234.567, 0.1, 900.0), (321.0987, 0.0, 3.3)
    shift = np.array(mean, np.float32)[:, None, None]
    gain = np.array([1 / 321.0987, 1.0, 1 / 3.3], np.float32)[:, None, None]
    wanted = np.where(valid[:, None], (images.astype(np.float32) - shift) * gain, np.float32(0))
    given = torch.from_numpy(images)
    ours = scaled(given, torch.from_numpy(valid), mean, std)
    assert np.array_equal(ours.numpy(), wanted)
    assert ours.data_ptr() != given.data_ptr(), "the images stay as they are"
