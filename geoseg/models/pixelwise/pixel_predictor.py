"""Forests, SVMs and thresholds as predictors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from geoseg.classes import ClassScheme
from geoseg.errors import ModelError
from geoseg.grid import Window, whole
from geoseg.models.pixelwise.classifiers import (
    Forest,
    IndexThreshold,
    LinearClassifier,
    PixelClassifier,
    tempered,
)
from geoseg.models.pixelwise.features import FloatArray, features_of
from geoseg.models.run.decide import layers
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.predictor import Layers
from geoseg.models.saved.model_files import read_arrays
from geoseg.models.saved.spec import ModelSpec
from geoseg.raster.block import Mask, Pixels

CLASSIFIERS: dict[str, type[Forest | LinearClassifier]] = {
    "forest": Forest,
    "svm": LinearClassifier,
}


class PixelPredictor:
    """A forest, an SVM or a threshold as a predictor.

    Args:
        classifier: maps (features, pixels) to (classes, pixels) probabilities.
        spec: scaling, features, stride, halo and temperature.
        settings: output layers.
    """

    def __init__(
        self,
        classifier: PixelClassifier,
        spec: ModelSpec,
        settings: InferenceSettings | None = None,
    ) -> None:
        self.classifier, self.spec = classifier, spec
        self.settings = settings or InferenceSettings()

    @classmethod
    def load(
        cls, folder: Path, spec: ModelSpec, settings: InferenceSettings | None = None
    ) -> PixelPredictor:
        """Load the classifier of a model directory.

        Raises:
            ModelError: the model is damaged.
        """
        return cls(_classifier(folder, spec), spec, settings)

    @property
    def stride(self) -> int:
        """Side of the cells that superpixels do not cross; 1 without superpixels."""
        return self.spec.stride

    @property
    def halo(self) -> int:
        """Radius in pixels that features depend on."""
        return self.spec.halo

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self.spec.scheme

    @property
    def fingerprint(self) -> str:
        """Spec and settings."""
        return f"{self.spec.model_dump_json()} {self.settings.model_dump_json()}"

    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """Predict the layers of the settings for the core of a window."""
        found = torch.from_numpy(self._probabilities(pixels, valid, core))
        result: Layers = layers(found, self.settings).numpy()
        return result

    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """Predict a window as (classes, height, width) float32 probabilities that sum to 1."""
        return torch.from_numpy(self._probabilities(pixels, valid, whole(valid.shape)))

    def _probabilities(self, pixels: Pixels, valid: Mask, core: Window) -> FloatArray:
        """Probabilities where valid; elsewhere all classes get the same one, which nobody reads."""
        if self.spec.threshold:
            # an index is a ratio of the pixels as stored; scaling would change it
            seen = pixels[:, *core.slices].astype(np.float32)
        else:
            seen = features_of(pixels, valid, self.spec)[:, *core.slices]
        inside = valid[core.slices]
        classes = len(self.scheme.classes)
        found = np.full((classes, *inside.shape), 1 / classes, np.float32)
        found[:, inside] = tempered(self.classifier(seen[:, inside]), self.spec.temperature)
        return found


def _classifier(folder: Path, spec: ModelSpec) -> PixelClassifier:
    if spec.threshold:
        if len(spec.scheme.classes) != 2:
            raise ModelError("a threshold needs two classes", where=folder)
        first, second = spec.threshold.bands
        return IndexThreshold(spec.threshold, (spec.bands.index(first), spec.bands.index(second)))
    kind = CLASSIFIERS.get(spec.architecture)
    if kind is None:
        raise ModelError("a threshold model must hold its threshold", where=folder)
    arrays: dict[str, Any] = read_arrays(folder, spec)
    try:
        return kind(**arrays)
    except TypeError as error:
        raise ModelError("the weights do not fit", where=folder, got=error) from error
