"""A model directory as one ONNX file."""

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
from geoseg.models.exchange.contract import TOLERANCE, Exported, probabilities, sample
from geoseg.models.exchange.onnx_file import Own, with_hash
from geoseg.models.exchange.onnx_graph import MOST_BYTES, declare, parse, require
from geoseg.models.exchange.onnx_metadata import OWN, describe
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import ModelSpec

if TYPE_CHECKING:
    from onnx import ModelProto
    from torch import nn

IR, OPSET = 8, 18
"""Of ONNX 1.13; ONNX Runtime 1.17 reads what ONNX 1.15 wrote, up to IR 9 and opset 20."""
OPEN = {0: "images", 2: "height", 3: "width"}
TILE = 512


@dataclass(frozen=True)
class Written:
    """An exported network.

    Attributes:
        path: the file.
        difference: the largest from torch's probabilities that was seen.
        any_size: whether the network takes images of any size, whatever the file declares.
    """

    path: Path
    difference: float
    any_size: bool


def write_onnx(
    folder: Path, out: Path, *, tile: int | None = None, dynamic: bool = False
) -> Written:
    """Write the network of a model directory as an ONNX file.

    The file takes pixels divided by 255 and gives probabilities. It is compared with torch before
    it appears.

    Args:
        folder: the model directory.
        out: the file to write.
        tile: side of the images that the file declares to take: Deepness and GeoDeep look there for
            the side of their tiles; 512, or what the network was trained on, when not given.
        dynamic: declare that it takes any number of images of any size, which those two refuse.

    Raises:
        ConfigError: the tile does not suit the network, or ONNX is not installed.
        ModelError: the network cannot be written, or gives other probabilities than torch.
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
    whole = _with_metadata(data, spec, side, Own(spec=spec, any_size=any_size), dynamic=dynamic)
    shapes = [(side, side), *([_other(spec, side)] if dynamic else [])]
    difference = max(_difference(whole, network, spec, shape) for shape in shapes)
    if difference > TOLERANCE:
        raise _unlike(folder, difference)
    files.write_bytes(out, whole)
    return Written(out, difference, any_size)


def _side(spec: ModelSpec, tile: int | None) -> int:
    side = tile or (spec.window + 2 * spec.halo if spec.window else TILE)
    if side % spec.stride or side <= 2 * spec.halo:
        raise ConfigError(
            "does not suit the network", where="--tile", got=side,
            wanted=f"a multiple of {spec.stride} that is more than {2 * spec.halo}",
        )  # fmt: skip
    return side


def _graph(network: nn.Module, spec: ModelSpec, side: int) -> tuple[bytes, bool]:
    """The network as ONNX, for images of any size if it gives what torch does on another one."""
    from geoseg.models.run.engines import onnx_runtime

    exported, example = Exported(network, spec).eval(), torch.zeros(1, len(spec.bands), side, side)
    try:
        with contextlib.redirect_stdout(io.StringIO()):  # it prints what it cannot export
            data = onnx_runtime.graph(exported, example, OPEN)
        if _difference(data, network, spec, _other(spec, side)) <= TOLERANCE:
            return data, True
    except ModelError:
        pass
    return _of_one_size(exported, example), False


def _of_one_size(exported: Exported, example: Tensor) -> bytes:
    """Torch's newer exporter: it knows more operators, and takes ten times as long."""
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            program = torch.onnx.export(
                exported, (example,), input_names=["image"], output_names=["answer"],
                opset_version=OPSET, dynamo=True, verbose=False,
            )  # fmt: skip
        data: bytes = program.model_proto.SerializeToString()  # type: ignore[union-attr]
    except Exception as error:  # torch has a dozen kinds, without a common one
        raise ModelError(
            "the network cannot be written as ONNX", got=str(error)[:200],
            fix="map with the model directory, or train another architecture",
        ) from error  # fmt: skip
    return data


def _other(spec: ModelSpec, side: int) -> tuple[int, int]:
    """Height and width of a smaller image that is no square."""
    height = max(1, side // 2 // spec.stride) * spec.stride
    return height, height + spec.stride


def _difference(data: bytes, network: nn.Module, spec: ModelSpec, shape: tuple[int, int]) -> float:
    """The largest between the probabilities of the file and torch's.

    Raises:
        ModelError: the file cannot be run on that size.
    """
    from geoseg.models.run.engines import onnx_runtime

    scaled = sample(len(spec.bands), *shape)
    wanted = probabilities(network, spec, scaled)
    run = onnx_runtime.read(data)
    try:
        found = run(Exported(network, spec).pixels(scaled))
    except onnx_runtime.FAILURES as error:
        raise ModelError("cannot be run on that size", got=str(error)[:200]) from error
    if found.shape != wanted.shape:
        raise ModelError("gives a map of another size", got=tuple(found.shape))
    return float((found - wanted).abs().max())


def _with_metadata(data: bytes, spec: ModelSpec, side: int, own: Own, *, dynamic: bool) -> bytes:
    model = parse(data, Path("the exported network"))
    model.ir_version = IR
    _forget_origins(model)
    declare(model, None if dynamic else side)
    values = {**describe(spec, side), OWN: own.model_dump_json()}
    for key, value in values.items():
        model.metadata_props.add(key=key, value=value)
    if model.ByteSize() > MOST_BYTES:
        raise ModelError("the network is too large for one file", wanted=f"{MOST_BYTES} bytes")
    return with_hash(model.SerializeToString())


def _forget_origins(model: ModelProto) -> None:
    """Leave out which lines of which files of this machine the operators come from."""
    graph = model.graph
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, graph):
        part.ClearField("metadata_props")
        part.ClearField("doc_string")


def _unlike(folder: Path, difference: float) -> ModelError:
    return ModelError(
        "the export gives other probabilities than torch", where=folder,
        got=f"{difference:.2g} at most", wanted=f"{TOLERANCE:g}",
    )  # fmt: skip
