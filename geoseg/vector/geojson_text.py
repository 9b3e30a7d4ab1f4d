"""The text of GeoJSON files, checked for what GDAL accepts or drops without a word."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from geoseg.errors import UnsafeError, VectorError
from geoseg.vector.layer_errors import broken_geometry
from geoseg.vector.polygon_formats import CODE, RECORD_SEPARATOR


def check_geojson(path: Path) -> str | None:
    """Check the text of a GeoJSON file, whole or line by line.

    Returns:
    The name of its CRS, where it has the member "crs" of GeoJSON 2008; GDAL takes an unknown
        one for WGS84.

    Raises:
        VectorError: the file is not UTF-8, or a coordinate is not a number.
        UnsafeError: it describes something else for GDAL to open or run.
    """
    data = path.read_bytes()
    try:
        data.decode()
    except UnicodeDecodeError as error:
        raise VectorError(
            f"is not UTF-8 at byte {error.start}", where=path, fix="save it as UTF-8"
        ) from error
    if any(mark in data for mark in CODE):
        raise UnsafeError("makes GDAL open or run something else", where=path)
    if re.search(rb"[\[,]\s*-?(NaN|Infinity)\s*[\],]", data, re.IGNORECASE):
        _check_coordinates(path, data)
    found = re.search(rb'"crs"\s*:\s*\{[^{}]*\{\s*"name"\s*:\s*"([^"]*)"', data)
    return found[1].decode() if found else None


def _check_coordinates(path: Path, data: bytes) -> None:
    """Find coordinates that are NaN or infinite: GDAL leaves such vertices out, unreported."""
    try:
        features = _features(data)
    except (ValueError, AttributeError):
        return  # GDAL reports what is wrong with the JSON
    broken = [i for i, each in enumerate(features) if _has_nan(each.get("geometry"))]
    if broken:
        raise broken_geometry(path, broken, "a coordinate is not a number")


def _features(data: bytes) -> list[dict[str, Any]]:
    try:
        return list(json.loads(data).get("features", []))
    except ValueError:
        lines = (line.strip() for line in data.replace(RECORD_SEPARATOR, b"").splitlines())
        return [json.loads(line) for line in lines if line]


def _has_nan(geometry: Any) -> bool:
    return bool(re.search("NaN|Infinity", json.dumps(geometry)))
