"""Land-cover and flood maps from satellite, aerial and drone rasters.

Every command of the ``geoseg`` program is a function here, with the same name and arguments.
Heavy libraries are loaded when a function first needs them, so that ``import geoseg`` is instant.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

from geoseg import allocator

if TYPE_CHECKING:
    from geoseg.classes import ClassScheme
    from geoseg.errors import GeosegError
    from geoseg.maps.open_map import open_map
    from geoseg.pipeline import run
    from geoseg.polygonize import ArraySource, Rules
    from geoseg.raster import open_scene
    from geoseg.steps.composite import CompositeOptions, composite
    from geoseg.steps.evaluate import EvaluateOptions, draw_sample, evaluate
    from geoseg.steps.info import info
    from geoseg.steps.predict import PredictOptions, predict
    from geoseg.steps.publish import PublishOptions, publish
    from geoseg.steps.tile import TileOptions, tile
    from geoseg.steps.trace import trace
    from geoseg.steps.train import TrainOptions, train
    from geoseg.steps.vectorize import VectorizeOptions, vectorize
    from geoseg.steps.view import ViewOptions, view
    from geoseg.synthetic import demo

_HOMES = {
    "ArraySource": "polygonize",
    "ClassScheme": "classes",
    "CompositeOptions": "steps.composite",
    "EvaluateOptions": "steps.evaluate",
    "GeosegError": "errors",
    "PredictOptions": "steps.predict",
    "PublishOptions": "steps.publish",
    "Rules": "polygonize",
    "TileOptions": "steps.tile",
    "TrainOptions": "steps.train",
    "VectorizeOptions": "steps.vectorize",
    "ViewOptions": "steps.view",
    "composite": "steps.composite",
    "demo": "synthetic",
    "draw_sample": "steps.evaluate",
    "evaluate": "steps.evaluate",
    "info": "steps.info",
    "open_map": "maps.open_map",
    "open_scene": "raster",
    "predict": "steps.predict",
    "publish": "steps.publish",
    "run": "pipeline",
    "tile": "steps.tile",
    "trace": "steps.trace",
    "train": "steps.train",
    "vectorize": "steps.vectorize",
    "view": "steps.view",
}

__all__ = [
    "ArraySource",
    "ClassScheme",
    "CompositeOptions",
    "EvaluateOptions",
    "GeosegError",
    "PredictOptions",
    "PublishOptions",
    "Rules",
    "TileOptions",
    "TrainOptions",
    "VectorizeOptions",
    "ViewOptions",
    "composite",
    "demo",
    "draw_sample",
    "evaluate",
    "info",
    "open_map",
    "open_scene",
    "predict",
    "publish",
    "run",
    "tile",
    "trace",
    "train",
    "vectorize",
    "view",
]


allocator.share()


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'geoseg' has no attribute {name!r}")
    return getattr(import_module(f"geoseg.{_HOMES[name]}"), name)
