"""Metadata of ONNX files: the keys of Deepness and GeoDeep, and one key of geoseg.

The keys are those of Deepness's page "Adding metadata to ONNX model": texts, each a JSON value.
That page
names `tiles_size`, its code reads `tile_size`; both are written. GeoDeep
reads `model_type`, `class_names`, `resolution`, `tiles_overlap` and `seg_*` of them. Both take the
side of a tile from the shape of the network's input.
"""

from __future__ import annotations

import ast
import colorsys
import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Any

from geoseg.classes import ClassScheme
from geoseg.errors import ModelError
from geoseg.models.saved.spec import ModelSpec

GEOSEG_KEY = "geoseg"
"""Its value is JSON: the spec, whether the network takes any size, and the sha256 of the file."""
LONGEST = 1_000_000
"""Characters of a value, at most; longer ones are refused."""
SEGMENTOR = "Segmentor"
GOLDEN = 0.618034
"""Fraction of the colour circle from one class to the next: the golden ratio keeps any number of
hues apart."""


def deepness_metadata(spec: ModelSpec, tile: int) -> dict[str, str]:
    """Make the metadata that Deepness and GeoDeep read, as JSON texts by key.

    Args:
        spec: spec of the model.
        tile: side in pixels of the tiles that they cut.
    """
    bands = len(spec.bands)
    values = {
        "model_type": SEGMENTOR,
        "class_names": {str(number): name for number, name in enumerate(spec.scheme.names)},
        "resolution": round(100 * (spec.gsd_m or 0), 4),
        "tiles_size": tile,
        "tile_size": tile,
        "tiles_overlap": ceil(200 * spec.halo / tile),
        "seg_thresh": 0.0,
        "seg_small_segment": 0,
        "standardization_mean": [0.0] * bands,
        "standardization_std": [1.0] * bands,
    }
    return {key: json.dumps(value, ensure_ascii=False) for key, value in values.items()}


@dataclass(frozen=True)
class FileMetadata:
    """Metadata of a file of another program.

    Attributes:
        names: class names; further classes are called class_3 and so on.
        gsd_m: ground sampling distance in metres; None if not stated.
        tile: side of tiles in pixels; None if not stated.
        overlap: overlap of tiles as a fraction of their side; None if not stated.
        threshold: probability from which a network with one output maps class 1.
        mean: mean of each band, subtracted from pixels divided by 255.
        std: standard deviation of each band, which the difference is divided by.
    """

    names: tuple[str, ...]
    gsd_m: float | None
    tile: int | None
    overlap: float | None
    threshold: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    def scheme(self, classes: int, where: Path) -> ClassScheme:
        """Make a class scheme, in colours that differ.

        Args:
            classes: number of classes.
            where: the file, for errors.

        Raises:
            ModelError: the names cannot be names of classes.
        """
        names = [*self.names, *(f"class_{each}" for each in range(len(self.names), classes))]
        listed = [{"name": name, "color": _colour(n)} for n, name in enumerate(names[:classes])]
        try:
            return ClassScheme.model_validate({"classes": listed})
        except ValueError as error:
            raise ModelError(
                "its class_names cannot be names of classes", where=where, got=error
            ) from error


def read_metadata(metadata: Mapping[str, str], bands: int, where: Path) -> FileMetadata:
    """Read the keys of Deepness.

    Args:
        metadata: texts by key.
        bands: number of input bands of the network.
        where: the file, for errors.

    Raises:
        ModelError: a value cannot be read, or the network does not segment.
    """
    values = {key: _value(key, text, where) for key, text in metadata.items() if key in READ}
    kind = str(values.get("model_type", SEGMENTOR)).capitalize()
    if kind != SEGMENTOR:
        raise ModelError(
            "does not map classes", where=where, got=f"a {kind}", wanted=f"a {SEGMENTOR}"
        )
    try:
        return _parsed(values, bands)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise ModelError("its metadata cannot be read", where=where, got=error) from error


READ = (
    "model_type", "class_names", "names", "resolution", "tile_size", "tiles_size", "tiles_overlap",
    "seg_thresh", "standardization_mean", "standardization_std",
)  # fmt: skip


def _parsed(values: Mapping[str, Any], bands: int) -> FileMetadata:
    resolution, overlap = values.get("resolution"), values.get("tiles_overlap")
    tile = values.get("tile_size", values.get("tiles_size"))
    found = FileMetadata(
        names=_names(values.get("class_names", values.get("names", {}))),
        gsd_m=None if resolution is None else float(resolution) / 100,
        tile=None if tile is None else int(tile),
        overlap=None if overlap is None else float(overlap) / 100,
        threshold=float(values.get("seg_thresh", 0.5)),
        mean=tuple(float(each) for each in values.get("standardization_mean", [0.0] * bands)),
        std=tuple(float(each) for each in values.get("standardization_std", [1.0] * bands)),
    )
    if len(found.mean) != bands or len(found.std) != bands or not all(s > 0 for s in found.std):
        raise ValueError(f"standardization_mean and _std are not for {bands} bands")
    if found.gsd_m is not None and not 0 < found.gsd_m < float("inf"):
        raise ValueError(f"resolution {resolution}")
    if found.overlap is not None and not 0 <= found.overlap < 1:
        raise ValueError(f"tiles_overlap {overlap}")
    return found


def _names(found: Any) -> tuple[str, ...]:
    """Class names by id; Deepness also takes a list of one dictionary."""
    named = found[0] if isinstance(found, list) and found else found
    by_id = {int(key): str(name) for key, name in dict(named).items()}
    if sorted(by_id) != list(range(len(by_id))):
        raise ValueError(f"class_names has the ids {', '.join(map(str, sorted(by_id)))}")
    return tuple(by_id[number] for number in range(len(by_id)))


def _value(key: str, text: str, where: Path) -> Any:
    """Parse a JSON value, or a Python literal: Ultralytics, for one, writes str(dict)."""
    try:
        if len(text) > LONGEST:
            raise ValueError(f"{len(text)} characters")
        try:
            return json.loads(text)
        except json.JSONDecodeError:
            return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        raise ModelError(f"its {key} cannot be read", where=where, got=error) from error


def _colour(number: int) -> str:
    red, green, blue = colorsys.hsv_to_rgb(number * GOLDEN % 1, 0.6, 0.85)
    return "#" + "".join(f"{round(255 * each):02x}" for each in (red, green, blue))
