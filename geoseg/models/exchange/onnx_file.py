"""ONNX files as models: those of geoseg hold a whole spec, those of other programs part of it.

What is missing is filled in like in the Deepness plugin: pixels divided by 255, then scaled by the
file's own mean and std; classes named by `class_names`; overlapping tiles of the size of the input.
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
from geoseg.models.exchange.onnx_metadata import GEOSEG_KEY, FileMetadata, read_metadata
from geoseg.models.saved.spec import ModelSpec

logger = logging.getLogger(__name__)
BLANK = "0" * 64
"""Takes the place of the hash of a file while the file is hashed."""
TILE, HALO, STRIDE = 512, 64, 32
"""In pixels, for networks that do not state theirs."""
CORES = (64, 32, 16, 8, 4, 2, 1)
"""Sides of windows are multiples of one of these, so that regions of whole windows and of whole
512 px blocks stay small."""
KEPT = 0.75
"""Fraction of the usable side of a tile that a multiple must cover to be chosen."""

type Output = Literal["probabilities", "logits", "one"]


class GeosegMetadata(BaseModel):
    """The metadata that `geoseg models export` writes under a key of its own.

    Attributes:
        spec: spec of the model directory.
        any_size: whether the network takes windows of any size, whatever its input declares.
        sha256: hash of the file with zeros in place of the hash.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    spec: ModelSpec
    any_size: bool
    sha256: str = Field(BLANK, pattern="^[0-9a-f]{64}$")


@dataclass(frozen=True)
class OnnxFile:
    """A checked ONNX file.

    Attributes:
        data: bytes of the file, as an engine takes them.
        spec: spec of the model, with the hash of the file as that of its weights.
        ports: shapes of input and output.
        own: whether geoseg exported it; then scaling is part of the network.
        output: meaning of its numbers; "one" is the probability of class 1 of two.
        threshold: probability from which a pixel is class 1.
    """

    data: bytes
    spec: ModelSpec
    ports: Ports
    own: bool
    output: Output
    threshold: float = 0.5


def read_file(path: Path) -> OnnxFile:
    """Read and check an ONNX file; nothing in it is executed.

    Raises:
        ConfigError: the package that reads ONNX is not installed.
        ModelError: it is not an ONNX file, is damaged, or does not map classes.
        UnsafeError: it needs other files, or operators that are not ONNX's own.
    """
    data = read_bytes(path)
    model = parse(data, path)
    metadata = {each.key: each.value for each in model.metadata_props}
    digest = hashlib.sha256(data).hexdigest()
    found = ports(model, path)
    if GEOSEG_KEY not in metadata:
        return _theirs(path, data, digest, found, read_metadata(metadata, found.bands, path))
    own = _own(metadata[GEOSEG_KEY], data, path)
    # the file declares one size for Deepness and GeoDeep; here any will do
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
    """Fill in the hash of an exported file."""
    return data.replace(BLANK.encode(), hashlib.sha256(data).hexdigest().encode())


def _own(text: str, data: bytes, path: Path) -> GeosegMetadata:
    """Read geoseg's key, and check the hash: a flipped bit would go unnoticed otherwise."""
    try:
        own = GeosegMetadata.model_validate_json(text)
    except ValidationError as error:
        raise ModelError(
            f"its metadata {GEOSEG_KEY} cannot be read", where=path, got=error
        ) from error
    digest = hashlib.sha256(data.replace(own.sha256.encode(), BLANK.encode())).hexdigest()
    if digest != own.sha256:
        raise ModelError(
            "has changed since it was exported", where=path, got=f"sha256 {digest[:12]}",
            wanted=own.sha256[:12],
            fix="copy or export it again; a file changed on purpose loses the key 'geoseg' first",
        )  # fmt: skip
    return own


def _sized(spec: ModelSpec, side: int | None) -> dict[str, int]:
    """Window and side of an exported network that takes one size only."""
    return {} if side is None else {"side": side, "window": side - 2 * spec.halo}


def _theirs(path: Path, data: bytes, digest: str, found: Ports, stated: FileMetadata) -> OnnxFile:
    outputs = found.outputs or len(stated.names)
    if not outputs:
        raise ModelError("does not state its number of classes", where=path)
    output = _output(path, found, outputs)
    window, halo = _windows(path, found.side, stated)
    spec = ModelSpec(
        architecture="onnx",
        bands=tuple(f"b{number}" for number in range(1, found.bands + 1)),
        dtype="uint8",
        mean=tuple(LEVELS * each for each in stated.mean),
        std=tuple(LEVELS * each for each in stated.std),
        gsd_m=stated.gsd_m,
        scheme=stated.scheme(2 if output == "one" else outputs, path),
        stride=1 if found.side else STRIDE,
        halo=halo,
        window=window,
        side=found.side,
        origin=path.name,
        weights_sha256=digest,
    )
    return OnnxFile(data, spec, found, False, output, stated.threshold)


def _output(path: Path, found: Ports, outputs: int) -> Output:
    if found.last == "Softmax" and outputs > 1:
        return "probabilities"
    if found.last == "Sigmoid":
        return "one" if outputs == 1 else "probabilities"
    if outputs == 1:
        raise ModelError(
            "gives one number per pixel that is not a probability", where=path,
            got=f"{found.last or 'nothing'} as the last operator", wanted="a Sigmoid",
        )  # fmt: skip
    logger.info("%s: ends with %s, so its output is taken for logits", path, found.last)
    return "logits"


def _windows(path: Path, side: int | None, stated: FileMetadata) -> tuple[int, int]:
    """Side of the core of a tile, and the halo around it, which is half the overlap of tiles."""
    tile = side or grid.round_up(stated.tile or TILE, STRIDE)
    share = 2 * HALO / TILE if stated.overlap is None else stated.overlap
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
