"""Areas from samples: the published example, simulated maps, and what cannot be known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from geoseg.accuracy.stratified import Z95, allocate, estimate, sample_size

MAPPED_PX = np.array([200_000, 150_000, 3_200_000, 6_450_000])
"""Olofsson et al. (2014), table 8: deforestation, forest gain, stable forest, stable non-forest."""
SAMPLED = np.array([[66, 0, 5, 4], [0, 55, 8, 12], [1, 0, 153, 11], [2, 1, 9, 313]])
"""The same table, as they print it: the map by row."""
HA_PER_PX = 0.09


def test_the_worked_example_of_olofsson_2014_comes_out_to_the_printed_digits() -> None:
    weights = MAPPED_PX / MAPPED_PX.sum()
    found = estimate(SAMPLED.T, weights)
    printed = [
        [0.0176, 0.0000, 0.0013, 0.0011],
        [0.0000, 0.0110, 0.0016, 0.0024],
        [0.0019, 0.0000, 0.2967, 0.0213],
        [0.0040, 0.0020, 0.0179, 0.6212],
    ]  # their table 9
    assert found.proportions.T.round(4).tolist() == printed
    assert (round(found.overall, 3), round(Z95 * found.overall_se, 3)) == (0.947, 0.018)
    assert found.users.round(2).tolist() == [0.88, 0.73, 0.93, 0.96]
    assert (Z95 * found.users_se).round(2).tolist() == [0.07, 0.10, 0.04, 0.02]
    assert found.producers.round(2).tolist() == [0.75, 0.85, 0.93, 0.96]
    assert (Z95 * found.producers_se).round(2).tolist() == [0.21, 0.25, 0.03, 0.02]
    pixels, margin = found.area * MAPPED_PX.sum(), Z95 * found.area_se * MAPPED_PX.sum()
    assert (round(pixels[0]), round(margin[0])) == (235_086, 68_418)
    assert (round(pixels[0] * HA_PER_PX), round(margin[0] * HA_PER_PX)) == (21_158, 6_158)
    assert found.area.sum() == pytest.approx(1)


def test_equation_13_gives_the_published_641_points() -> None:
    weights = MAPPED_PX / MAPPED_PX.sum()
    assert sample_size(weights, np.array([0.7, 0.6, 0.9, 0.95]), 0.01) == 641


def test_variances_are_those_of_the_equations_written_out() -> None:
    weights, n = MAPPED_PX / MAPPED_PX.sum(), SAMPLED
    found = estimate(n.T, weights)
    rows, classes = n.sum(axis=1), range(4)
    users = [n[i, i] / rows[i] for i in classes]
    total = sum(weights[i] ** 2 * users[i] * (1 - users[i]) / (rows[i] - 1) for i in classes)
    assert found.overall_se == pytest.approx(math.sqrt(total))
    for j in classes:
        size = MAPPED_PX
        column = sum(size[i] * n[i, j] / rows[i] for i in classes)
        own = size[j] ** 2 * (1 - found.producers[j]) ** 2 * users[j] * (1 - users[j])
        others = sum(
            size[i] ** 2 * n[i, j] / rows[i] * (1 - n[i, j] / rows[i]) / (rows[i] - 1)
            for i in classes
            if i != j
        )
        variance = (own / (rows[j] - 1) + found.producers[j] ** 2 * others) / column**2
        assert found.producers_se[j] == pytest.approx(math.sqrt(variance))
        share = [weights[i] * n[i, j] / rows[i] for i in classes]
        terms = ((weights[i] * share[i] - share[i] ** 2) / (rows[i] - 1) for i in classes)
        assert found.area_se[j] == pytest.approx(math.sqrt(sum(terms)))


def test_95_percent_intervals_hold_the_truth_95_times_in_100() -> None:
    rng = np.random.default_rng(3)
    truth_given_map = np.array([[0.8, 0.15, 0.05], [0.1, 0.85, 0.05], [0.02, 0.08, 0.9]])
    weights = np.array([0.2, 0.3, 0.5])
    area = weights @ truth_given_map
    inside = np.zeros(3)
    for _ in range(400):
        rows = [rng.multinomial(120, each) for each in truth_given_map]
        found = estimate(np.array(rows).T, weights)
        inside += abs(found.area - area) <= Z95 * found.area_se
    assert ((inside / 400 > 0.91) & (inside / 400 < 0.985)).all()


def test_a_class_that_nobody_looked_at_leaves_all_that_needs_it_undefined() -> None:
    counts = np.array([[9, 0, 0], [1, 10, 0], [0, 0, 0]])
    found = estimate(counts, np.array([0.5, 0.4, 0.1]))
    assert math.isnan(found.overall)
    assert found.users.tolist()[:2] == [0.9, 1.0]
    assert math.isnan(found.users[2])
    assert np.isnan(found.area).all()


def test_a_class_that_is_not_on_the_map_has_an_area_and_no_users_accuracy() -> None:
    found = estimate(np.array([[9, 0, 0], [0, 10, 0], [1, 0, 0]]), np.array([0.5, 0.5, 0]))
    assert found.overall == pytest.approx(0.95)
    assert found.area.tolist() == pytest.approx([0.45, 0.5, 0.05])
    assert (found.producers[2], math.isnan(found.users[2])) == (0, True)


def test_one_point_of_a_class_has_no_standard_error() -> None:
    found = estimate(np.array([[9, 0], [1, 1]]), np.array([0.9, 0.1]))
    assert found.overall == pytest.approx(0.91)
    assert math.isnan(found.overall_se)
    assert math.isnan(found.users_se[1])


def test_what_is_nowhere_has_no_producers_accuracy() -> None:
    found = estimate(np.array([[9, 0], [0, 0]]), np.array([1.0, 0]))
    assert (found.producers[0], math.isnan(found.producers[1])) == (1, True)
    assert (found.area[1], found.area_se[1]) == (0, 0)


@pytest.mark.parametrize("total", [8, 100, 641, 5000])
def test_points_are_shared_out_whole_and_rare_classes_get_enough(total: int) -> None:
    weights = np.array([0.004, 0.026, 0.32, 0.65, 0])
    available = np.array([17, 10**5, 10**6, 10**7, 0])
    points = allocate(total, weights, available)
    assert points.sum() == total
    assert (points <= available).all()
    assert (points[:4] >= np.minimum(min(50, total // 8), available[:4])).all()
    assert points[3] >= points[2] >= points[1]


def test_a_small_map_is_sampled_whole() -> None:
    assert allocate(500, np.array([0.4, 0.6]), np.array([20, 30])).tolist() == [20, 30]


def test_a_sample_for_accuracies_that_are_sure_is_small() -> None:
    """Of one class with a user's accuracy of 0.5: (0.5 / 0.05)^2 = 100 points."""
    assert sample_size(np.ones(1), np.array([0.5]), 0.05) == 100
