"""Specs of models of single pixels."""

from __future__ import annotations

from small_scene import SCHEME

from geoseg.models.saved.spec import ModelSpec, Threshold

B2 = ("b1", "b2")
WATER = Threshold(index="ndwi", bands=B2, at=0.1)


def pixelwise(architecture: str, **more: object) -> ModelSpec:
    content = {
        "architecture": architecture, "bands": B2, "dtype": "uint8", "mean": (0, 0), "std": (1, 1),
        "gsd_m": 1.0, "scheme": SCHEME, **more,
    }  # fmt: skip
    return ModelSpec.model_validate(content)
