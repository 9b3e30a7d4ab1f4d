"""An ONNX file as a model: ours, which says all that a model directory says, or another program's.

What others leave open is filled in as the Deepness plugin does it: pixels divided by 255, then the
file's own mean and std; classes named by `class_names`; tiles of the input's size that overlap.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from geoseg import grid
from geoseg.errors import ModelError
from geoseg.models.exchange.contract import LEVELS
from geoseg.models.exchange.onnx_graph import Ports, declare, parse, ports, read_bytes
from geoseg.models.exchange.onnx_metadata import OWN, Told, told
from geoseg.models.saved.spec import ModelSpec

logger = logging.getLogger(__name__)
BLANK = "0" * 64
"""Stands for the hash of a file in the bytes that are hashed."""
TILE, HALO, STRIDE = 512, 64, 32
"""Of networks that do not say theirs."""
CORES = (64, 32, 16, 8, 4, 2, 1)
"""Windows are multiples of one of them, so that regions of whole windows and blocks are small."""
KEPT = 0.75
"""Share of what could be mapped of a tile that has to be, to take the larger multiple."""

type Answer = Literal["probabilities", "logits", "one"]


class Own(BaseModel):
    """What `geoseg models export` writes under a key of its own.

    Attributes:
        spec: of the model directory.
        any_size: whether the network takes windows of any size, whatever its input declares.
        sha256: of the file, with zeros in its place.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: ModelSpec
    any_size: bool
    sha256: str = Field(BLANK, pattern="^[0-9a-f]{64}$")


@dataclass(frozen=True)
class OnnxFile:
    """A network in a file, checked, and what it was made for.

    Attributes:
        data: the file, as an engine takes it.
        spec: what it was made for; its hash is that of the file.
        ports: what the network takes and gives.
        own: whether scaling is part of the network, as in files of ours.
        answer: what the numbers it gives are; "one" is the probability of class 1 of two.
        threshold: from where on that is class 1.
    """

    data: bytes
    spec: ModelSpec
    ports: Ports
    own: bool
    answer: Answer
    threshold: float = 0.5


def read_file(path: Path) -> OnnxFile:
    """Read an ONNX file, and check it; nothing in it is run.

    Raises:
        ConfigError: the package that reads ONNX is not installed.
        ModelError: it is no such file, damaged, or maps no classes.
        UnsafeError: it needs other files, or operators that are not ONNX's own.
    """
    data = read_bytes(path)
    model = parse(data, path)
    metadata = {each.key: each.value for each in model.metadata_props}
    digest = hashlib.sha256(data).hexdigest()
    found = ports(model, path)
    if OWN not in metadata:
        return _theirs(path, data, digest, found, told(metadata, found.bands, path))
    own = _own(metadata[OWN], data, path)
    if own.any_size:
        declare(model, None)
        data = model.SerializeToString()
        found = ports(model, path)
    spec = own.spec.model_copy(update={"weights_sha256": digest, **_sized(own.spec, found.side)})
    if (len(spec.bands), len(spec.scheme.classes)) != (found.bands, found.outputs):
        raise ModelError(
            "its network is not that of its spec", where=path,
            got=f"{found.bands} bands, {found.outputs} classes",
            wanted=f"{len(spec.bands)} and {len(spec.scheme.classes)}",
        )  # fmt: skip
    return OnnxFile(data, spec, found, True, "probabilities")


def with_hash(data: bytes) -> bytes:
    """The bytes of a file of ours, its hash filled in."""
    return data.replace(BLANK.encode(), hashlib.sha256(data).hexdigest().encode())


def _own(text: str, data: bytes, path: Path) -> Own:
    """Our own key, if the file is as it was written: a flipped bit loads unnoticed otherwise."""
    try:
        own = Own.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(f"its metadata {OWN} cannot be read", where=path, got=error) from error
    digest = hashlib.sha256(data.replace(own.sha256.encode(), BLANK.encode())).hexdigest()
    if digest != own.sha256:
        raise ModelError(
            "is not the file that was written", where=path, got=f"sha256 {digest[:12]}",
            wanted=own.sha256[:12],
            fix="copy or export it again; a file changed on purpose loses the key 'geoseg' first",
        )  # fmt: skip
    return own


def _sized(spec: ModelSpec, side: int | None) -> dict[str, int]:
    """The windows of a network of ours that takes one size only."""
    return {} if side is None else {"side": side, "window": side - 2 * spec.halo}


def _theirs(path: Path, data: bytes, digest: str, found: Ports, said: Told) -> OnnxFile:
    outputs = found.outputs or len(said.names)
    if not outputs:
        raise ModelError("does not say how many classes it has", where=path)
    answer = _answer(path, found, outputs)
    window, halo = _windows(path, found.side, said)
    spec = ModelSpec(
        architecture="onnx",
        bands=tuple(f"b{number}" for number in range(1, found.bands + 1)),
        dtype="uint8",
        mean=tuple(LEVELS * each for each in said.mean),
        std=tuple(LEVELS * each for each in said.std),
        gsd_m=said.gsd_m,
        scheme=said.scheme(2 if answer == "one" else outputs, path),
        stride=1 if found.side else STRIDE,
        halo=halo,
        window=window,
        side=found.side,
        origin=path.name,
        weights_sha256=digest,
    )
    return OnnxFile(data, spec, found, False, answer, said.threshold)


def _answer(path: Path, found: Ports, outputs: int) -> Answer:
    if found.last == "Softmax" and outputs > 1:
        return "probabilities"
    if found.last == "Sigmoid":
        return "one" if outputs == 1 else "probabilities"
    if outputs == 1:
        raise ModelError(
            "gives one number a pixel that is no probability", where=path,
            got=f"{found.last or 'nothing'} as the last operator", wanted="a Sigmoid",
        )  # fmt: skip
    logger.info("%s: ends with %s, so its numbers are taken for logits", path, found.last)
    return "logits"


def _windows(path: Path, side: int | None, said: Told) -> tuple[int, int]:
    """What is mapped of a tile, and the context around it: half of what tiles overlap by."""
    tile = side or grid.round_up(said.tile or TILE, STRIDE)
    share = 2 * HALO / TILE if said.overlap is None else said.overlap
    inner = max(0, tile - 2 * ceil(share * tile / 2))
    step = next(each for each in CORES if inner // each * each >= KEPT * inner)
    step = max(step, 1 if side else STRIDE)
    window = inner // step * step
    if window < STRIDE:
        raise ModelError(
            "its tiles are too small", where=path, got=f"{tile} px, {100 * share:.0f} % overlap"
        )
    halo = (tile - window) // 2
    return window, halo if side else grid.round_up(halo, STRIDE)
