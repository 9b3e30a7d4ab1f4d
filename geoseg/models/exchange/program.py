"""A model directory as a program of torch.export, which runs without geoseg's or smp's code."""

from __future__ import annotations

import io
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor

from geoseg import files
from geoseg.errors import ModelError
from geoseg.models.exchange.contract import TOLERANCE, Exported, noise, probabilities
from geoseg.models.saved.model_files import load_network
from geoseg.models.saved.spec import SPEC

EXAMPLE_ROWS, EXAMPLE_COLS = 4, 6
"""Of the stride: an example that is no square, so that torch does not take height for width."""


def write_program(folder: Path, out: Path) -> float:
    """Write the network of a model directory as a program for images of any size.

    It takes pixels divided by 255 and gives probabilities, as an ONNX file does. The spec is kept
    in it as the extra file spec.json. Nothing in it is pickled; but torch.export.load unpickles
    what a file asks it to, so it is for files of one's own only, and `predict` reads none.

    Args:
        folder: the model directory.
        out: the file to write.

    Returns:
        The largest difference from torch's probabilities that was seen.

    Raises:
        ModelError: torch cannot export the network, or the program gives other probabilities.
    """
    network, spec = load_network(folder)
    network, bands = network.eval(), len(spec.bands)
    exported = Exported(network, spec).eval()
    rows, cols = EXAMPLE_ROWS * spec.stride, EXAMPLE_COLS * spec.stride
    program = _program(exported, exported.pixels(noise(bands, rows, cols)), folder)
    scaled = noise(bands, rows + spec.stride, cols - 2 * spec.stride)
    with torch.no_grad():
        found: Tensor = program.module()(exported.pixels(scaled))
    difference = float((found - probabilities(network, spec, scaled)).abs().max())
    if difference > TOLERANCE:
        raise ModelError(
            "the export gives other probabilities than torch", where=folder,
            got=f"{difference:.2g} at most", wanted=f"{TOLERANCE:g}",
        )  # fmt: skip
    program.example_inputs = None  # the only part that would be pickled
    stream = io.BytesIO()
    torch.export.save(program, stream, extra_files={SPEC: spec.model_dump_json(indent=2)})
    files.write_bytes(out, stream.getvalue())
    return difference


def _program(exported: Exported, example: Tensor, folder: Path) -> torch.export.ExportedProgram:
    sizes = {2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    logging.getLogger("torch.export").setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            return torch.export.export(exported, (example,), dynamic_shapes=(sizes,))
    except Exception as error:  # torch has a dozen kinds, without a common one
        raise ModelError(
            "torch cannot export this network for images of any size", where=folder,
            got=str(error)[:200], fix="--to onnx",
        ) from error  # fmt: skip
