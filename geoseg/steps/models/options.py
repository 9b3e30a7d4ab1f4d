"""Options of `export_model`."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from geoseg.options import Options


class ExportOptions(Options):
    """Options of `export_model`."""

    to: Literal["onnx", "torchexport"] = "onnx"
    """ONNX, which geoseg, the QGIS plugin Deepness, GeoDeep and many others run; or a torch.export
    program, which runs on torch without geoseg."""

    tile: int | None = Field(None, ge=32)
    """ONNX: side in pixels of the tiles that Deepness and GeoDeep cut; by default 512, or the size
    the network was trained on. geoseg maps windows of any size either way."""

    dynamic: bool = False
    """ONNX: declare a dynamic batch and image size; Deepness and GeoDeep do not open such files."""
