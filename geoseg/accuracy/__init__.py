"""Accuracy measures: functions of arrays and counts, without files or grids."""

from geoseg.accuracy.confusion import (
    Confusion,
    Floats,
    Matrix,
    Scores,
    count,
    majority,
    overall,
    ratio,
    scores,
)

__all__ = [
    "Confusion",
    "Floats",
    "Matrix",
    "Scores",
    "count",
    "majority",
    "overall",
    "ratio",
    "scores",
]
