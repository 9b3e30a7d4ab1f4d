"""The record of a finished step: its inputs, options and outputs decide "unchanged, skipped"."""

from __future__ import annotations

import importlib.metadata
import json
import platform
import uuid
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from geoseg import files
from geoseg.remote import Place

# Packages that results depend on; workers with other versions of them are refused.
PACKAGES = (
    "geoseg", "torch", "torchgeo", "rasterio", "shapely", "numpy", "dask", "distributed",
    "onnxruntime", "openvino",
)  # fmt: skip


@dataclass(frozen=True)
class Record:
    """A finished step.

    Attributes:
        step: the step's name.
        key: hash of everything that the result depends on.
        inputs: role, path, size in bytes and sha256 of each input file.
        options: the resolved options.
        outputs: sha256 by path, relative to the record's folder.
        counts: what was done and what was skipped, by name.
        seconds: wall time of the last run; earlier, interrupted ones do not count.
        finished: UTC time in ISO 8601.
        versions: of Python, geoseg and the packages it computes with.
    """

    step: str
    key: str
    inputs: list[dict[str, Any]]
    options: Mapping[str, Any]
    outputs: Mapping[str, str]
    counts: Mapping[str, Any] = field(default_factory=dict)
    seconds: float = 0.0
    finished: str = ""
    versions: Mapping[str, str] = field(default_factory=dict)

    def stands(self, folder: Path, key: str) -> bool:
        """Whether ``folder`` holds the outputs of ``key``, byte for byte."""
        return self.key == key and all(
            (folder / name).is_file() and files.sha256(folder / name) == digest
            for name, digest in self.outputs.items()
        )


type Inputs = Mapping[str, Iterable[Place]]
"""Files, or folders of files, by what they are to a step: "scene 1", "labels"."""


def describe_inputs(inputs: Inputs) -> list[dict[str, Any]]:
    """Role, path, size and sha256 of each input file, and of each file in folders.

    A file on a server is not downloaded for its hash: name, size and version there are hashed
    instead.

    Raises:
        OSError: a file cannot be read.
    """
    return [
        {"role": role, **_describe(each)}
        for role, places in inputs.items()
        for place in places
        for each in _files(place)
    ]


def _files(place: Place) -> Sequence[Place]:
    if isinstance(place, Path) and place.is_dir():
        return sorted(path for path in place.rglob("*") if path.is_file())
    return [place]


def unrepeatable() -> str:
    """A value for the options of inputs that nothing identifies: never the same twice."""
    return uuid.uuid4().hex


def step_key(step: str, inputs: Iterable[Mapping[str, Any]], options: Mapping[str, Any]) -> str:
    """Hash of everything that a step's result depends on, whatever the inputs are called.

    Roles count: the same files are other inputs if one of them is another scene, or the labels.

    Args:
        step: the step's name.
        inputs: as `describe_inputs` returns them; only their roles and hashes count.
        options: everything else, as JSON values.
    """
    digests = [[each["role"], each["sha256"]] for each in inputs]
    # Of geoseg alone: an update of torch does not make ten thousand finished maps stale.
    version = importlib.metadata.version("geoseg")
    return files.fingerprint([step, version, digests, options])


def _describe(place: Place) -> dict[str, Any]:
    if isinstance(place, Path):
        size, digest = place.stat().st_size, files.sha256(place)
        return {"path": place.as_posix(), "bytes": size, "sha256": digest}
    return {"path": place.name, "bytes": place.size, "sha256": files.fingerprint(place.stamp())}


def versions() -> dict[str, str]:
    """Versions of Python, geoseg and the installed packages that it computes with."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        with suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    return found


def read_record(path: Path) -> Record | None:
    """The record at ``path``; None where there is none or it cannot be read."""
    try:
        return Record(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None


def write_record(path: Path, record: Record) -> None:
    """Write a record as JSON."""
    files.write_json(path, asdict(record))
