"""Accuracy, against scikit-learn and by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from sklearn import metrics

from geoseg import accuracy


def test_three_pixels_by_hand() -> None:
    confusion = accuracy.count(
        np.array([0, 0, 1, 255, 1], np.uint8), np.array([0, 1, 1, 1, 255], np.uint8), 2
    )
    assert confusion.tolist() == [[1, 1], [0, 1]]
    scores = accuracy.scores(confusion)
    assert scores.iou.tolist() == [1 / 2, 1 / 2]
    assert scores.precision.tolist() == [1, 1 / 2]
    assert scores.recall.tolist() == [1 / 2, 1]
    assert scores.f1 == pytest.approx([2 / 3, 2 / 3])
    assert scores.support.tolist() == [2, 1]
    assert accuracy.overall(confusion) == pytest.approx(2 / 3)


def test_every_score_is_that_of_scikit_learn() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 5, (96, 128)).astype(np.uint8)
    mapped = np.where(rng.random(truth.shape) < 0.6, truth, rng.integers(0, 5, truth.shape))
    mapped = mapped.astype(np.uint8)
    truth[:10], mapped[:, :20] = 255, 255
    use = (truth != 255) & (mapped != 255)
    t, m = truth[use], mapped[use]
    confusion = accuracy.count(truth, mapped, 5)
    np.testing.assert_array_equal(confusion, metrics.confusion_matrix(t, m))
    scores = accuracy.scores(confusion)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(t, m)
    np.testing.assert_allclose(scores.precision, precision)
    np.testing.assert_allclose(scores.recall, recall)
    np.testing.assert_allclose(scores.f1, f1)
    np.testing.assert_array_equal(scores.support, support)
    np.testing.assert_allclose(scores.iou, metrics.jaccard_score(t, m, average=None))
    assert scores.miou == pytest.approx(metrics.jaccard_score(t, m, average="macro"))
    assert accuracy.overall(confusion) == pytest.approx(metrics.accuracy_score(t, m))


def test_a_class_in_neither_truth_nor_map_is_nan_and_no_part_of_the_mean() -> None:
    scores = accuracy.scores(np.array([[3, 0, 1], [0, 0, 0], [0, 0, 4]]))
    assert math.isnan(scores.iou[1])
    assert math.isnan(scores.f1[1])
    assert scores.miou == pytest.approx((3 / 4 + 4 / 5) / 2)


def test_a_class_only_in_the_map_has_no_recall_and_one_only_in_the_truth_no_precision() -> None:
    scores = accuracy.scores(np.array([[0, 5], [0, 0]]))
    np.testing.assert_array_equal(scores.precision, [math.nan, 0])
    np.testing.assert_array_equal(scores.recall, [0, math.nan])
    assert scores.iou.tolist() == [0, 0]


def test_nothing_to_compare_is_nan_without_a_warning() -> None:
    nothing = accuracy.count(np.full((3, 4), 255, np.uint8), np.zeros((3, 4), np.uint8), 3)
    assert nothing.sum() == 0
    assert math.isnan(accuracy.overall(nothing))
    assert math.isnan(accuracy.scores(nothing).miou)


def test_255_classes_are_counted_and_255_is_still_left_out() -> None:
    truth = np.array([254, 254, 255], np.uint8)
    confusion = accuracy.count(truth, np.array([254, 0, 254], np.uint8), 255)
    assert (confusion.sum(), confusion[254, 254], confusion[254, 0]) == (2, 1, 1)


def test_the_majority_map_says_the_most_frequent_class_everywhere() -> None:
    confusion = np.array([[5, 1], [2, 2]])
    assert accuracy.majority(confusion).tolist() == [[6, 0], [4, 0]]
    assert accuracy.overall(accuracy.majority(confusion)) == pytest.approx(0.6)
