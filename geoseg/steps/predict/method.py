"""The model and the options that all scenes of a call are mapped with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geoseg.classes import ClassScheme
from geoseg.errors import ConfigError, GridError
from geoseg.maps.map_files import rasters
from geoseg.models.run.inference_settings import InferenceSettings
from geoseg.models.run.predictor import Predictor
from geoseg.models.saved_model import SavedModel, weights_of
from geoseg.steps.predict.options import PredictOptions

type ModelArgument = str | Path | Predictor | Sequence[str | Path]

ENGINE_ONLY = ("engine", "precision", "tta", "passes", "blend")
NETWORK_ONLY = ("gsd", "confidence", "probabilities", *ENGINE_ONLY)

SAME_MAP = {"workers", "cluster", "region", "overwrite", "remote", "grid"}
"""Options that change no byte of a scene's map, and so are no part of its key."""


@dataclass(frozen=True)
class Method:
    """The model and the options that all scenes of a call are mapped with.

    Attributes:
        model: the predictor, or where it is saved.
        options: the options of `predict`.
    """

    model: SavedModel | Predictor
    options: PredictOptions

    @property
    def halo(self) -> int:
        """Pixels of context around a window."""
        if self.options.halo is not None:
            return self.options.halo
        if isinstance(self.model, SavedModel):
            return max(spec.halo for spec in self.model.specs)
        return self.model.halo

    @property
    def scheme(self) -> ClassScheme:
        """The classes of the maps."""
        first = self.model.specs[0] if isinstance(self.model, SavedModel) else self.model
        return first.scheme

    @property
    def rasters(self) -> tuple[str, ...]:
        """File names of the rasters of a map."""
        return rasters(probabilities=self.options.probabilities)

    @property
    def layer_count(self) -> int:
        """Number of layers: classes, confidence and, where asked for, one for each class."""
        return 2 + (len(self.scheme.classes) if self.options.probabilities else 0)

    @property
    def weight_files(self) -> list[Path]:
        """The files that hold the model's weights; thresholds have none."""
        folders = self.model.folders if isinstance(self.model, SavedModel) else ()
        return [weights_of(folder) for folder in folders if weights_of(folder).exists()]

    @property
    def weight_hashes(self) -> list[str]:
        """sha256 of the weights, as the model directories record them."""
        specs = self.model.specs if isinstance(self.model, SavedModel) else ()
        return [spec.weights_sha256 for spec in specs if spec.weights_sha256]

    @property
    def settings(self) -> dict[str, Any]:
        """Everything but the scene that a map depends on, as JSON."""
        options = self.options.model_dump(mode="json", exclude=SAME_MAP)
        return {"model": self._fingerprint, **options, "halo": self.halo}

    @property
    def _fingerprint(self) -> Any:
        if isinstance(self.model, SavedModel):
            return [spec.model_dump(mode="json") for spec in self.model.specs]
        return self.model.fingerprint


def open_method(model: ModelArgument, options: PredictOptions) -> Method:
    """Open the model; refuse options that do not apply to it.

    Raises:
        ConfigError: an option needs another kind of model.
        GridError: the window does not fit the model.
        ModelError: a folder holds no model, or the models do not belong together.
    """
    opened = _open(model, options)
    if not isinstance(opened, SavedModel):
        _refuse(options, NETWORK_ONLY, "a model directory", "a predictor")
    elif not opened.is_network:
        _refuse(options, ENGINE_ONLY, "a network", opened.specs[0].architecture)
    method = Method(opened, options)
    _check_stride(method)
    _check_side(method)
    return method


def _open(model: ModelArgument, options: PredictOptions) -> SavedModel | Predictor:
    if isinstance(model, Predictor):
        return model
    folders = [model] if isinstance(model, str | Path) else list(model)
    settings = InferenceSettings(
        views=options.tta,
        passes=options.passes,
        confidence=options.confidence,
        probabilities=options.probabilities,
    )
    return SavedModel.open([Path(folder) for folder in folders], settings)


def _refuse(options: PredictOptions, names: Sequence[str], wanted: str, got: str) -> None:
    """A forest has no engine; a predictor of the caller's own has no logits and no pixel size."""
    plain = type(options)()
    given = [name for name in names if getattr(options, name) != getattr(plain, name)]
    if given:
        raise ConfigError(
            f"needs {wanted}",
            where=", ".join(f"--{name}" for name in given),
            got=got,
            fix="leave it out, or let the predictor do it",
        )


def _check_stride(method: Method) -> None:
    """Every window has to start on the model's own pooling grid."""
    window, model = method.options.window, method.model
    if window is None:
        return
    for each in model.specs if isinstance(model, SavedModel) else (model,):
        if window % each.stride:
            raise GridError(
                "the window is not a multiple of the model's stride",
                where="--window",
                got=window,
                wanted=f"a multiple of {each.stride}",
            )


def _check_side(method: Method) -> None:
    """A network of fixed size gets smaller windows padded, but takes no larger ones."""
    if not isinstance(method.model, SavedModel):
        return
    seen = (method.options.window or method.model.window or 0) + 2 * method.halo
    for spec in method.model.specs:
        if spec.side is not None and seen > spec.side:
            raise GridError(
                "the window is larger than the network takes", where="--window",
                got=f"{seen} px with the halo", wanted=f"at most {spec.side} px",
            )  # fmt: skip
