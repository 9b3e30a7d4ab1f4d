"""Rasters and rules that cannot be traced are refused."""

from __future__ import annotations

from math import inf, nan
from typing import Any

import numpy as np
import pytest
from traced_maps import ROTATED, source

from geoseg.errors import ConfigError, GridError, RasterError
from geoseg.polygonize import DouglasPeucker, Rules, Visvalingam, trace


def test_a_raster_of_measurements_is_refused() -> None:
    with pytest.raises(RasterError, match="not a class raster; got 1 bands of float32"):
        next(trace(source(np.zeros((3, 4), np.float32))))


def test_a_confidence_on_another_grid_is_refused() -> None:
    with pytest.raises(GridError, match="not on the grid"):
        next(trace(source([[0, 0, 1]]), confidence=source([[0, 0, 1]], ROTATED)))


@pytest.mark.parametrize(
    "rules",
    [
        {"connectivity": 6},
        {"min_area_m2": -1},
        {"min_area_m2": nan},
        {"max_hole_m2": inf},
        {"smooth": -1},
        {"split_at": 0},
        {"split_at": -1},
        {"split_at": inf},
    ],
    ids=str,
)
def test_rules_that_mean_nothing_are_refused(rules: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="; wanted "):
        Rules(**rules)


@pytest.mark.parametrize("amount", [-1.0, nan, inf])
@pytest.mark.parametrize("simplify", [DouglasPeucker, Visvalingam])
def test_a_tolerance_that_measures_nothing_is_refused(simplify: Any, amount: float) -> None:
    with pytest.raises(ConfigError, match=f"is not a size; got {amount}; wanted a finite number"):
        simplify(amount)
