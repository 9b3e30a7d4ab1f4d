"""The models that can be trained, by name, and the features that pixelwise ones look at.

Plain assignments instead of ``type`` statements: pydantic then writes the names themselves into the
JSON schema of the options, and nested literals become one flat list.
"""

from __future__ import annotations

from typing import Literal

NetworkName = Literal[
    "unet", "deeplabv3+", "fcn", "upernet", "segformer", "dpt", "unet++", "unet-scse", "manet",
    "fpn", "linknet", "pspnet", "deeplabv3", "linear",
]  # fmt: skip
PixelwiseName = Literal["forest", "svm", "threshold"]
Trainable = Literal[NetworkName, PixelwiseName]
Architecture = Literal[NetworkName, PixelwiseName, "onnx"]
"""Of a model; "onnx" is a network that another program wrote into a file."""
Features = Literal["pixel", "texture", "superpixel"]
