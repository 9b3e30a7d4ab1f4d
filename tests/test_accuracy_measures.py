"""Outlines, objects, calibration and intervals, against other libraries and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage, stats
from torchmetrics.detection import PanopticQuality
from torchmetrics.functional.classification.calibration_error import _ce_compute

from geoseg import accuracy
from geoseg.accuracy.bootstrap import Blocks, intervals
from geoseg.accuracy.boundary import boundary, count_boundaries
from geoseg.accuracy.reliability import reliability, tally
from geoseg.accuracy.segments import Segments, match


def patches(seed: int, classes: int = 4) -> NDArray[np.uint8]:
    """A 96 x 128 map of blobs."""
    noise = np.random.default_rng(seed).random((classes, 96, 128))
    return ndimage.gaussian_filter(noise, (0, 4, 4)).argmax(axis=0).astype(np.uint8)


@pytest.mark.parametrize("width", [1, 3, 7])
def test_outlines_are_what_erosion_takes_away(width: int) -> None:
    ids = patches(1)
    kept = boundary(ids, width)
    for each in range(4):
        mask = ids == each
        inner = ndimage.binary_erosion(mask, np.ones((3, 3)), width, border_value=1)
        np.testing.assert_array_equal(kept == each, mask & ~inner)


def test_ground_that_is_not_known_makes_no_outline() -> None:
    ids = np.full((5, 9), 2, np.uint8)
    ids[:, 6:] = 255
    assert (boundary(ids, 3) == 255).all()
    ids[:, 0] = 0
    assert (boundary(ids, 3) != 255).sum(axis=1).tolist() == [4] * 5


def test_boundary_iou_of_outlines_one_pixel_off_by_hand() -> None:
    truth, mapped = np.zeros((2, 40, 60), np.uint8)
    truth[:, 30:], mapped[:, 31:] = 1, 1
    found = count_boundaries(boundary(truth, 3), boundary(mapped, 3), 3)
    # class 1: columns 30-32 and 31-33 share two of four
    assert found.iou[:2].tolist() == [0.5, 0.5]
    assert (math.isnan(found.iou[2]), found.truth[2]) == (True, 0)
    assert (found + found).iou[:2].tolist() == [0.5, 0.5]
    assert (found + found).truth.tolist() == [240, 240, 0]


def test_ece_is_that_of_torchmetrics() -> None:
    rng = np.random.default_rng(5)
    percent = rng.integers(20, 100, 5000).astype(np.uint8)
    right = rng.random(5000) < (percent / 100) ** 2
    edges = torch.linspace(0, 1, 21, dtype=torch.float64)
    # half a percent on: an edge that is no float is not to decide where 35 % goes
    wanted = _ce_compute(
        torch.from_numpy(percent / 100 + 0.005), torch.from_numpy(right).double(), edges
    )
    found = reliability(tally(percent, right))
    moved = np.nansum(found.pixels * abs(found.accuracy - found.confidence - 0.005)) / 5000
    assert moved == pytest.approx(float(wanted))
    assert found.ece == pytest.approx(moved - 0.005)


def test_ece_of_two_bins_by_hand() -> None:
    percent = np.array([90] * 10 + [61] * 5 + [255] * 3, np.uint8)
    right = np.array([True] * 7 + [False] * 3 + [True] * 5 + [False] * 3)
    found = reliability(tally(percent, right))
    assert found.pixels.sum() == 15
    assert found.ece == pytest.approx((10 * 0.2 + 5 * 0.39) / 15)
    assert np.isnan(found.accuracy[found.pixels == 0]).all()


def test_one_hundred_percent_is_in_the_last_bin_and_nothing_has_no_ece() -> None:
    found = reliability(tally(np.array([100, 95], np.uint8), np.array([True, True])))
    assert found.pixels[-1] == 2
    assert math.isnan(reliability(np.zeros((2, 101), np.int64)).ece)


def objects_of(
    truth: NDArray[np.int64], mapped: NDArray[np.int64], classes: tuple[NDArray[np.uint8], ...]
) -> tuple[Segments, Segments, NDArray[np.int64], NDArray[np.int64]]:
    """Objects of two arrays of numbers, 0 for none, all of which counts."""
    sides = [
        Segments(ids, *[np.bincount(each.ravel(), minlength=len(ids) + 1)[1:]] * 2)
        for each, ids in zip((truth, mapped), classes, strict=True)
    ]
    both = (truth > 0) & (mapped > 0)
    pairs, shared = np.unique(
        np.stack([truth[both] - 1, mapped[both] - 1], axis=1), axis=0, return_counts=True
    )
    return sides[0], sides[1], pairs, shared


def test_panoptic_quality_is_that_of_torchmetrics() -> None:
    sides, pictures = [], []
    for seed in (2, 9):
        ids = patches(2)
        noise = np.random.default_rng(seed).random(ids.shape)
        ids = np.where(ndimage.gaussian_filter(noise, 1.2) > 0.55, (ids + seed) % 4, ids)
        numbers, of = np.zeros(ids.shape, np.int64), []
        for each in (1, 2, 3):
            labelled, count = ndimage.label(ids == each)
            numbers[labelled > 0] = labelled[labelled > 0] + len(of)
            of += [each] * count
        sides.append((numbers, np.array(of, np.uint8)))
        pictures.append(torch.from_numpy(np.stack([ids, numbers], axis=-1))[None])
    metric = PanopticQuality(
        things={1, 2, 3}, stuffs={0}, return_sq_and_rq=True, return_per_class=True
    )
    wanted = metric(pictures[1], pictures[0]).numpy()[:3]
    (truth, one), (mapped, other) = sides
    found = match(*objects_of(truth, mapped, (one, other)), 4)
    assert found.matched[1:].min() > 3
    assert (found.missed[1:].min(), found.invented[1:].min()) > (0, 0)
    np.testing.assert_allclose(np.stack([found.pq, found.sq, found.f1])[:, 1:].T, wanted)
    assert math.isnan(found.pq[0])


def test_objects_by_hand() -> None:
    one = np.ones(3, np.uint8)
    truth = Segments(one, np.array([10, 10, 4]), np.array([10, 10, 9]))
    mapped = Segments(one, np.array([12, 30, 5]), np.array([12, 30, 5]))
    pairs = np.array([[0, 0], [1, 1]])
    found = match(truth, mapped, pairs, np.array([8, 10]), 2)
    # IoU 8 / 14 matches, 10 / 30 does not; the last of the truth lies mostly where nothing counts
    assert (found.matched[1], found.missed[1], found.invented[1]) == (1, 1, 2)
    assert (found.recall[1], found.precision[1], found.f1[1]) == (1 / 2, 1 / 3, 2 / 5)
    assert found.sq[1] == pytest.approx(8 / 14)
    assert found.pq[1] == pytest.approx(8 / 14 * 2 / 5)
    assert np.isnan([found.pq[0], found.recall[0], found.precision[0], found.sq[0]]).all()


def test_objects_that_share_exactly_half_do_not_match() -> None:
    one = np.ones(1, np.uint8)
    side = Segments(one, np.array([3]), np.array([3]))
    found = match(side, side, np.array([[0, 0]]), np.array([2]), 2)
    assert (found.matched[1], found.missed[1], found.invented[1]) == (0, 1, 1)
    assert math.isnan(found.sq[1])
    assert found.pq[1] == 0


def blocks_of(confusions: NDArray[np.int64]) -> Blocks:
    block, truth, mapped = np.nonzero(confusions)
    pair = truth * confusions.shape[1] + mapped
    return Blocks(block, pair, confusions[block, truth, mapped])


def test_intervals_are_those_of_scipys_percentile_bootstrap() -> None:
    rng = np.random.default_rng(4)
    right = rng.binomial(1000, rng.beta(20, 3, 60))
    confusions = np.zeros((60, 2, 2), np.int64)
    confusions[:, 0, 0], confusions[:, 0, 1] = right, 1000 - right
    found = intervals(blocks_of(confusions), 2, seed=1)
    wanted = stats.bootstrap(
        (right / 1000,),
        np.mean,
        method="percentile",
        n_resamples=4000,
        rng=np.random.default_rng(2),
    ).confidence_interval
    assert found.overall == pytest.approx(np.array(wanted), abs=0.002)
    assert found.recall[:, 0] == pytest.approx(found.overall)
    assert found.precision[:, 0].tolist() == [1, 1]
    assert np.isnan(found.recall[:, 1]).all()


def test_intervals_enclose_the_score_and_follow_the_seed() -> None:
    rng = np.random.default_rng(6)
    confusions = rng.integers(0, 50, (25, 3, 3)) + 200 * np.eye(3, dtype=np.int64)
    one, again, other = (intervals(blocks_of(confusions), 3, seed=seed) for seed in (0, 0, 1))
    scores = accuracy.scores(confusions.sum(axis=0))
    assert one.miou[0] < scores.miou < one.miou[1]
    assert ((one.iou[0] < scores.iou) & (scores.iou < one.iou[1])).all()
    assert one.iou.tolist() == again.iou.tolist()
    assert one.iou.tolist() != other.iou.tolist()


def test_a_single_block_has_no_interval() -> None:
    found = intervals(blocks_of(np.full((1, 2, 2), 5)), 2)
    assert np.isnan(found.overall).all()
    assert np.isnan(found.iou).all()
    assert found.iou.shape == (2, 2)
