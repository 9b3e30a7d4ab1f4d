"""Export a model directory as one ONNX file."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from geoseg import files
from geoseg.errors import ConfigError, ModelError
from geoseg.models.exchange.contract import TOLERANCE, Exported, noise, probabilities
from geoseg.models.exchange.onnx_file import GeosegMetadata, with_hash
from geoseg.models.exchange.onnx_graph import MOST_BYTES, declare, parse, require
from geoseg.models.exchange.onnx_metadata import GEOSEG_KEY, deepness_metadata
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import ModelSpec

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

IR, OPSET = 8, 18
"""Versions of ONNX 1.13. ONNX Runtime 1.17 reads what ONNX 1.15 wrote, up to IR 9 and opset 20."""
OPEN = {0: "images", 2: "height", 3: "width"}
TILE = 512


@dataclass(frozen=True)
class OnnxExport:
    """An exported network.

    Attributes:
        path: the file.
        difference: largest difference from torch's probabilities.
        any_size: whether the network takes images of any size, whatever the file declares.
    """

    path: Path
    difference: float
    any_size: bool


def write_onnx(
    folder: Path, out: Path, *, tile: int | None = None, dynamic: bool = False
) -> OnnxExport:
    """Write the network of a model directory as an ONNX file.

    The file maps pixels divided by 255 to probabilities. These are compared with torch's before
    the file appears.

    Args:
        folder: model directory.
        out: ONNX file to write.
        tile: side in pixels of the images that the file declares; Deepness and GeoDeep take the
            side of their tiles from it. By default 512, or the side the network was trained on.
        dynamic: declare any number of images of any size, which those two refuse.

    Raises:
        ConfigError: the tile does not suit the network, the network takes one size only, or ONNX
            is not installed.
        ModelError: the network cannot be exported, or gives other probabilities than torch.
    """
    for package in ("onnx", "onnxruntime", "onnxscript"):
        require(package, out)
    network, spec = load_network(folder)
    network = network.eval()
    side = _side(spec, tile)
    data, any_size = _graph(network, spec, side)
    if dynamic and not any_size:
        raise ConfigError(
            "this network takes images of one size only", where="--dynamic", fix="leave it out"
        )
    whole = _with_metadata(
        data, spec, side, GeosegMetadata(spec=spec, any_size=any_size), dynamic=dynamic
    )
    shapes = [(side, side), *([_other(spec, side)] if dynamic else [])]
    difference = max(_difference(whole, network, spec, shape) for shape in shapes)
    if difference > TOLERANCE:
        raise _unlike(folder, difference)
    files.write_bytes(out, whole)
    return OnnxExport(out, difference, any_size)


def _side(spec: ModelSpec, tile: int | None) -> int:
    side = tile or (spec.window + 2 * spec.halo if spec.window else TILE)
    if side % spec.stride or side <= 2 * spec.halo:
        raise ConfigError(
            "does not suit the network", where="--tile", got=side,
            wanted=f"a multiple of {spec.stride} above {2 * spec.halo}",
        )  # fmt: skip
    return side


def _graph(network: nn.Module, spec: ModelSpec, side: int) -> tuple[bytes, bool]:
    """Export a network; for images of any size if another size gives torch's result too."""
    from geoseg.models.run.engines import onnx_runtime

    exported, example = Exported(network, spec).eval(), torch.zeros(1, len(spec.bands), side, side)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # the exporter prints what it cannot export
            data = onnx_runtime.graph(exported, example, OPEN)
        if _difference(data, network, spec, _other(spec, side)) <= TOLERANCE:
            return data, True
    except ModelError:
        pass
    return _of_one_size(exported, example), False


def _of_one_size(exported: Exported, example: Tensor) -> bytes:
    """Export with torch's newer exporter, which knows more operators but takes longer."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                exported, (example,), input_names=["image"], output_names=["answer"],
                opset_version=OPSET, dynamo=True, verbose=False,
            )  # fmt: skip
        data: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]
    except Exception as error:  # torch raises a dozen kinds without a common base
        raise ModelError(
            "the network cannot be written as ONNX", got=str(error)[:200],
            fix="map with the model directory, or train another architecture",
        ) from error  # fmt: skip
    return data


def _other(spec: ModelSpec, side: int) -> tuple[int, int]:
    """Height and width of a smaller image that is not square."""
    height = max(1, side // 2 // spec.stride) * spec.stride
    return height, height + spec.stride


def _difference(data: bytes, network: nn.Module, spec: ModelSpec, shape: tuple[int, int]) -> float:
    """Largest difference between the probabilities of the file and torch's.

    Raises:
        ModelError: the file cannot be run on that size.
    """
    from geoseg.models.run.engines import onnx_runtime

    scaled = noise(len(spec.bands), *shape)
    wanted = probabilities(network, spec, scaled)
    run = onnx_runtime.read(data)
    try:
        found = run(Exported(network, spec).pixels(scaled))
    except onnx_runtime.FAILURES as error:
        raise ModelError("cannot be run on that size", got=str(error)[:200]) from error
    if found.shape != wanted.shape:
        raise ModelError("gives a map of another size", got=tuple(found.shape))
    return float((found - wanted).abs().max())


def _with_metadata(
    data: bytes, spec: ModelSpec, side: int, own: GeosegMetadata, *, dynamic: bool
) -> bytes:
    model = parse(data, Path("the exported network"))
    model.ir_version = IR
    _forget_origins(model)
    declare(model, None if dynamic else side)
    values = {**deepness_metadata(spec, side), GEOSEG_KEY: own.model_dump_json()}
    for key, value in values.items():
        model.metadata_props.add(key=key, value=value)
    if model.ByteSize() > MOST_BYTES:
        raise ModelError("the network is too large for one file", wanted=f"{MOST_BYTES} bytes")
    return with_hash(model.SerializeToString())


def _forget_origins(model: ModelProto) -> None:
    """Remove the file names and lines of this machine that the exporter notes for operators."""
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _unlike(folder: Path, difference: float) -> ModelError:
    return ModelError(
        "the export gives other probabilities than torch", where=folder,
        got=f"{difference:.2g} at most", wanted=f"{TOLERANCE:g}",
    )  # fmt: skip
