"""Models that tell single pixels apart: random forest, linear SVM, threshold on an index."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from geoseg.classes import ClassScheme
from geoseg.errors import ModelError
from geoseg.grid import Window, whole
from geoseg.models.pixelwise.classifiers import Forest, Index, Linear, Rule, tempered
from geoseg.models.pixelwise.features import FloatArray, look
from geoseg.models.run.inference_settings import Recipe
from geoseg.models.run.predictor import Layers
from geoseg.models.saved.model_files import read_arrays
from geoseg.models.saved.spec import ModelSpec
from geoseg.raster.block import Mask, Pixels

if TYPE_CHECKING:
    from torch import Tensor

RULES: dict[str, type[Forest | Linear]] = {"forest": Forest, "svm": Linear}


class PixelPredictor:
    """A forest, an SVM or a threshold as a predictor.

    Args:
        rule: (features, pixels) to (classes, pixels) probabilities.
        spec: scaling, features, stride, halo and temperature.
        recipe: what is written.
    """

    def __init__(self, rule: Rule, spec: ModelSpec, recipe: Recipe | None = None) -> None:
        self.rule, self.spec, self.recipe = rule, spec, recipe or Recipe()

    @classmethod
    def load(cls, folder: Path, spec: ModelSpec, recipe: Recipe | None = None) -> PixelPredictor:
        """From a model directory.

        Raises:
            ModelError: the model is damaged.
        """
        return cls(_rule(folder, spec), spec, recipe)

    @property
    def stride(self) -> int:
        """Side of the cells that superpixels stay in; else 1."""
        return self.spec.stride

    @property
    def halo(self) -> int:
        """Pixels that features depend on."""
        return self.spec.halo

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        return self.spec.scheme

    @property
    def fingerprint(self) -> str:
        """Spec and recipe."""
        return f"{self.spec.model_dump_json()} {self.recipe.model_dump_json()}"

    def __call__(self, pixels: Pixels, valid: Mask, core: Window) -> Layers:
        """The layers of the recipe, for the core."""
        import torch

        from geoseg.models.run.decide import layers

        found = torch.from_numpy(self._answer(pixels, valid, core))
        result: Layers = layers(found, self.recipe).numpy()
        return result

    def probabilities(self, pixels: Pixels, valid: Mask) -> Tensor:
        """(classes, height, width) float32."""
        import torch

        return torch.from_numpy(self._answer(pixels, valid, whole(valid.shape)))

    def _answer(self, pixels: Pixels, valid: Mask, core: Window) -> FloatArray:
        """Probabilities where valid; elsewhere all classes are as likely, and nobody looks."""
        if self.spec.threshold:
            seen = pixels[:, *core.slices].astype(np.float32)
        else:
            seen = look(pixels, valid, self.spec)[:, *core.slices]
        inside = valid[core.slices]
        classes = len(self.scheme.classes)
        found = np.full((classes, *inside.shape), 1 / classes, np.float32)
        found[:, inside] = tempered(self.rule(seen[:, inside]), self.spec.temperature)
        return found


def _rule(folder: Path, spec: ModelSpec) -> Rule:
    if spec.threshold:
        if len(spec.scheme.classes) != 2:
            raise ModelError("a threshold tells two classes apart", where=folder)
        first, second = spec.threshold.bands
        return Index(spec.threshold, (spec.bands.index(first), spec.bands.index(second)))
    kind = RULES.get(spec.architecture)
    if kind is None:
        raise ModelError("a threshold model says where the threshold is", where=folder)
    arrays: dict[str, Any] = read_arrays(folder, spec)
    try:
        return kind(**arrays)
    except TypeError as error:
        raise ModelError("the weights do not fit", where=folder, got=error) from error
