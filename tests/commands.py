"""The commands of geoseg, in the order of work."""

from __future__ import annotations

COMMANDS = (
    "demo",
    "info",
    "tile",
    "train",
    "predict",
    "vectorize",
    "evaluate",
    "publish",
    "view",
    "run",
    "catalog",
)
