"""Checks of untrusted ONNX files, and the shapes of their input and output."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.errors import ConfigError, ModelError, UnsafeError

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto, TypeProto

MOST_BYTES = 2**31 - 1
"""Limit of a protobuf message; larger networks keep their weights in other files."""
STANDARD = ("", "ai.onnx")
"""Domains of the operators that every runtime has; others may need a library."""
MOST_BANDS, MOST_CLASSES = 512, 255
PASSING = ("Identity", "Cast", "Transpose", "Resize", "Upsample", "Clip", "Slice", "Reshape")
"""Operators that leave probabilities what they are."""


@dataclass(frozen=True)
class Ports:
    """Input and output of a network.

    Attributes:
        bands: bands of the input, (1, bands, side, side) float32.
        side: height and width of the input; None for any.
        outputs: numbers per pixel; None if the file does not state it.
        last: operator that computes the output.
    """

    bands: int
    side: int | None
    outputs: int | None
    last: str


def require(package: str, where: Path) -> None:
    """Require a package of the extra "onnx".

    Raises:
        ConfigError: it is not installed.
    """
    if find_spec(package) is None:
        raise ConfigError(
            f"the package {package} is not installed", where=where, fix="pip install 'geoseg[onnx]'"
        )


def read_bytes(path: Path) -> bytes:
    """Read the bytes of an ONNX file.

    Raises:
        ConfigError: the package that reads ONNX is not installed.
        ModelError: the file is missing, empty or too large.
    """
    require("onnx", path)
    size = path.stat().st_size if path.is_file() else 0
    if not 0 < size <= MOST_BYTES:
        raise ModelError(
            "is not an ONNX file", where=path, got=f"{size} bytes", wanted=f"1 to {MOST_BYTES}"
        )
    return path.read_bytes()


def parse(data: bytes, where: Path) -> ModelProto:
    """Parse the bytes of an ONNX file, if it is complete in itself.

    Raises:
        ModelError: it is not an ONNX file, or damaged.
        UnsafeError: it needs other files, or operators that are not ONNX's own.
    """
    from google.protobuf.message import DecodeError
    from onnx import ModelProto

    try:
        model: ModelProto = ModelProto.FromString(data)
    except DecodeError as error:
        raise ModelError("is not an ONNX file, or damaged", where=where, got=error) from error
    if not model.graph.node:
        raise ModelError("is not an ONNX file, or damaged", where=where, got="no operators")
    _require_inside(model, where)
    _require_standard(model, where)
    return model


def ports(model: ModelProto, where: Path) -> Ports:
    """Find the input and the output of a network.

    Raises:
        ModelError: it does not map one image of bands to classes of each pixel.
    """
    known = {each.name for each in model.graph.initializer}
    inputs = [each for each in model.graph.input if each.name not in known]
    if len(inputs) != 1 or len(model.graph.output) != 1:
        raise ModelError(
            "does not map one image to one map", where=where,
            got=f"{len(inputs)} inputs, {len(model.graph.output)} outputs", wanted="one of each",
        )  # fmt: skip
    images, bands, height, width = _shape(inputs[0].type, "input", where)
    _, outputs, *_ = _shape(model.graph.output[0].type, "output", where)
    if images not in (None, 1) or bands is None or not 0 < bands <= MOST_BANDS or height != width:
        raise ModelError(
            "takes other images than one of (bands, side, side)", where=where,
            got=_text((images, bands, height, width)), wanted=f"(1, 1 to {MOST_BANDS}, side, side)",
        )  # fmt: skip
    if outputs is not None and not 0 < outputs <= MOST_CLASSES:
        raise ModelError(
            "gives no classes", where=where, got=f"{outputs} numbers a pixel",
            wanted=f"1 to {MOST_CLASSES}, one for each class",
        )  # fmt: skip
    return Ports(bands, height, outputs, _last(model.graph))


def declare(model: ModelProto, tile: int | None) -> None:
    """Declare the size of input and output.

    Args:
        model: parsed file, changed in place.
        tile: height and width of one image; None for any number of images of any size.
    """
    _, bands, *_ = model.graph.input[0].type.tensor_type.shape.dim
    _, classes, *_ = model.graph.output[0].type.tensor_type.shape.dim
    sizes = (
        (1, bands.dim_value, tile, tile) if tile else ("images", bands.dim_value, "height", "width")
    )
    _resize(model.graph.input[0].type, sizes)
    _resize(model.graph.output[0].type, (sizes[0], classes.dim_value, *sizes[2:]))


def _resize(kind: TypeProto, sizes: tuple[int | str, ...]) -> None:
    for dim, size in zip(kind.tensor_type.shape.dim, sizes, strict=True):
        dim.Clear()
        if isinstance(size, int):
            dim.dim_value = size
        else:
            dim.dim_param = size


def _shape(kind: TypeProto, name: str, where: Path) -> list[int | None]:
    from onnx import TensorProto

    tensor = kind.tensor_type
    if tensor.elem_type != TensorProto.FLOAT or len(tensor.shape.dim) != 4:
        raise ModelError(
            f"its {name} is not four dimensions of float32", where=where,
            got=f"{len(tensor.shape.dim)} of {TensorProto.DataType.Name(tensor.elem_type)}",
            wanted="(1, bands, height, width) in, (1, classes, height, width) out",
        )  # fmt: skip
    return [dim.dim_value if dim.HasField("dim_value") else None for dim in tensor.shape.dim]


def _text(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if each is None else str(each) for each in shape) + ")"


def _last(graph: GraphProto) -> str:
    """The operator that computes the output, apart from those that only move or resample it."""
    makers = {name: node for node in graph.node for name in node.output}
    name = graph.output[0].name
    for _ in graph.node:  # no path is longer than that, unless a damaged graph goes in circles
        node = makers.get(name)
        if node is None or node.op_type not in PASSING or not node.input:
            return node.op_type if node else ""
        name = node.input[0]
    return ""


def _require_inside(model: ModelProto, where: Path) -> None:
    from onnx import TensorProto

    for tensor in _tensors(model):
        if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
            place = {each.key: each.value for each in tensor.external_data}.get("location", "?")
            raise UnsafeError(
                "keeps weights in another file, which is not read", where=where, got=place,
                fix="save it as one file: onnx.save(onnx.load(PATH), OUT)",
            )  # fmt: skip


def _require_standard(model: ModelProto, where: Path) -> None:
    # functions that the file defines itself are made of checked operators
    own = {(each.domain, each.name) for each in model.functions}
    strange = sorted(
        {
            f"{node.domain}.{node.op_type}"
            for node in _nodes(model)
            if node.domain not in STANDARD and (node.domain, node.op_type) not in own
        }
    )
    if strange:
        raise UnsafeError(
            "has operators that are not ONNX's own, which are not loaded", where=where,
            got=", ".join(strange[:3]), wanted="operators of the domain ai.onnx",
        )  # fmt: skip


def _nodes(model: ModelProto) -> Iterator[NodeProto]:
    for nodes in (model.graph.node, *(each.node for each in model.functions)):
        for node in nodes:
            yield from _inner(node)


def _inner(node: NodeProto) -> Iterator[NodeProto]:
    yield node
    for graph in _graphs(node):
        for each in graph.node:
            yield from _inner(each)


def _graphs(node: NodeProto) -> Iterator[GraphProto]:
    for attribute in node.attribute:
        if attribute.HasField("g"):
            yield attribute.g
        yield from attribute.graphs


def _tensors(model: ModelProto) -> Iterator[TensorProto]:
    """Yield all tensors of a file, also those nested in operators."""
    nodes = list(_nodes(model))
    for graph in (model.graph, *(inner for node in nodes for inner in _graphs(node))):
        yield from graph.initializer
        for sparse in graph.sparse_initializer:
            yield from (sparse.values, sparse.indices)
    for attribute in (each for node in nodes for each in node.attribute):
        yield from attribute.tensors
        if attribute.HasField("t"):
            yield attribute.t
        for sparse in (attribute.sparse_tensor, *attribute.sparse_tensors):
            yield from (sparse.values, sparse.indices)
