"""A network in an ONNX file as a predictor."""

from __future__ import annotations

import time
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from geoseg.errors import ModelError
from geoseg.models.exchange.contract import LEVELS
from geoseg.models.exchange.onnx_file import OnnxFile, read_file
from geoseg.models.exchange.onnx_graph import parse
from geoseg.models.input_scaling import divisors
from geoseg.models.run import engines
from geoseg.models.run.inference_settings import Engine, InferenceSettings
from geoseg.models.run.memory_cost import SIDE, MemoryCost
from geoseg.models.run.network_predictors import NO_MEMORY, LogitsPredictor
from geoseg.models.saved.spec import ModelSpec

if TYPE_CHECKING:
    from geoseg.models.run.engines.forward import Forward

CPU = torch.device("cpu")


class FilePredictor(LogitsPredictor):
    """A network in an ONNX file as a predictor, on the CPU.

    Args:
        path: the file.
        spec: spec that was read from it when the run began.
        settings: engine, averaging and output layers.
        slots: number of windows that will be predicted at once.

    Raises:
        ConfigError: the engine, or the package that reads ONNX, is not installed.
        ModelError: the file has changed since, or the engine cannot run the network.
        UnsafeError: the file needs other files, or operators that are not ONNX's own.
    """

    def __init__(
        self, path: Path, spec: ModelSpec, settings: InferenceSettings, *, slots: int = 1
    ) -> None:
        file = read_file(path)
        if file.spec != spec:
            raise ModelError("has changed since the run began", where=path, fix="--overwrite")
        forward = adapted(file, _network(path, file, settings.engine, slots))
        super().__init__(forward, spec, settings, CPU)


def adapted(file: OnnxFile, network: Forward) -> Forward:
    """Adapt the network of a file to the interface of all others: scaled pixels in, logits out.

    Logarithms of probabilities serve as logits: they differ by one number per pixel, which changes
    neither the largest nor the softmax.

    Args:
        file: the file.
        network: its network, as an engine runs it.
    """
    spread = torch.tensor(divisors(file.spec.std))[:, None, None]
    mean = torch.tensor(file.spec.mean)[:, None, None]

    def forward(images: Tensor) -> Tensor:
        height, width = images.shape[-2:]
        images = _filled(images, file.ports.side)
        answer = network((images * spread + mean) / LEVELS if file.own else images)
        _require_map(file, answer, images)
        return _logits(file, answer[..., :height, :width])

    return forward


def measure(path: Path) -> MemoryCost:
    """Measure the memory and time that the network of a file takes; see `memory_cost.measure`.

    Raises:
        ConfigError: neither ONNX Runtime nor OpenVINO is installed.
        ModelError: the engine cannot run the network.
    """
    file = read_file(path)
    side = file.ports.side or SIDE
    engine = Engine(name="onnx" if engines.installed(Engine(name="onnx")) else "openvino")
    network = adapted(file, _network(path, file, engine, 1))
    start = time.perf_counter()
    network(torch.zeros(1, file.ports.bands, side, side))
    seconds = (time.perf_counter() - start) / side**2
    return MemoryCost(_numbers(path, file, side) * 4 / side**2, seconds)


def _filled(images: Tensor, side: int | None) -> Tensor:
    """Pad images with 0, which stands for invalid pixels, to the size that the network takes."""
    if side is None:
        return images
    return nn.functional.pad(images, (0, side - images.shape[-1], 0, side - images.shape[-2]))


def _require_map(file: OnnxFile, answer: Tensor, images: Tensor) -> None:
    classes = 1 if file.output == "one" else len(file.spec.scheme.classes)
    wanted = (classes, *images.shape[-2:])
    if tuple(answer.shape[1:]) != wanted:
        raise ModelError(
            "the network returned another map than one of its classes and the image's size",
            where=file.spec.origin or None, got=tuple(answer.shape[1:]), wanted=wanted,
        )  # fmt: skip


def _logits(file: OnnxFile, answer: Tensor) -> Tensor:
    if file.output == "logits":
        return answer
    if file.output == "one":
        level = torch.logit(torch.tensor(file.threshold).clamp(1e-6, 1 - 1e-6))
        # in double precision, as float32 rounds 1 - eps, and with it the largest logit
        ahead = torch.logit(answer.double(), eps=1e-7).float() - level
        return torch.cat((torch.zeros_like(ahead), ahead), dim=1)
    return torch.log(answer.clamp_min(torch.finfo(answer.dtype).tiny)) * file.spec.temperature


def _network(path: Path, file: OnnxFile, engine: Engine, slots: int) -> Forward:
    side = file.ports.side or -1
    try:
        run = engines.read(file.data, (1, file.ports.bands, side, side), engine, slots)
    except ModelError as error:
        raise ModelError(error.what, where=path, got=error.got) from error

    def forward(images: Tensor) -> Tensor:
        try:
            return run(images)
        except Exception as error:  # engines have exceptions of their own, without a common base
            if any(each in str(error) for each in NO_MEMORY):
                raise MemoryError(f"a window does not fit into memory: {error}") from error
            raise ModelError("the network fails", where=path, got=str(error)[:200]) from error

    return forward


def _numbers(path: Path, file: OnnxFile, side: int) -> int:
    """Number of values that all operators output together, as far as ONNX can infer it."""
    from onnx import shape_inference

    model = parse(file.data, path)
    for dim, size in zip(
        model.graph.input[0].type.tensor_type.shape.dim, (1, file.ports.bands, side, side),
        strict=True,
    ):  # fmt: skip
        dim.dim_value = size
    try:
        found = shape_inference.infer_shapes(model, data_prop=True).graph
    except shape_inference.InferenceError:
        return 0
    shapes = [each.type.tensor_type.shape.dim for each in (*found.value_info, *found.output)]
    return sum(prod(dim.dim_value for dim in shape) for shape in shapes if shape)
