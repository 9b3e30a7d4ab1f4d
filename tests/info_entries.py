"""Entries of `geoseg info`, and files for it to look at."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import rasterio
from affine import Affine

from geoseg.steps.info import InfoOptions, info

DATA = Path(__file__).parents[2] / "shared" / "data"
KEYS = ("path", "kind", "driver", "crs", "width", "height", "bands", "dtype", "nodata", "problems")
NORTH_UP = Affine(2.0, 0, 412_000, 0, -2.0, 5_411_000)


def noise(bands: int = 3, height: int = 96, width: int = 128, dtype: str = "uint8") -> Any:
    return np.random.default_rng(0).integers(1, 250, (bands, height, width)).astype(dtype)


def write(path: Path, pixels: Any, **options: Any) -> Path:
    profile = {"crs": "EPSG:32633", "transform": NORTH_UP, "driver": "GTiff"} | options
    count, height, width = pixels.shape
    with rasterio.open(
        path, "w", count=count, height=height, width=width, dtype=pixels.dtype, **profile
    ) as target:
        target.write(pixels)
    return path


def look(path: Path | str, **options: Any) -> dict[str, Any]:
    (entry,) = info(path, options=InfoOptions(**options))
    json.dumps(entry, allow_nan=False)
    assert all(key in entry for key in KEYS)
    for row in entry["problems"]:
        assert row["code"]
        assert row["message"]
        assert row["level"] in ("error", "warning", "note")
        assert "fix" in row
    return entry


def codes(entry: dict[str, Any]) -> set[str]:
    return {row["code"] for row in entry["problems"]}


def message(entry: dict[str, Any], code: str) -> str:
    return next(str(row["message"]) for row in entry["problems"] if row["code"] == code)
