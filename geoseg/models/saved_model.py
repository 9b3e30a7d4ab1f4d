"""Models in files: model directories and ONNX files, opened by their specs and loaded later."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.errors import ModelError
from geoseg.layout import WEIGHTS
from geoseg.models.pretrained import weights
from geoseg.models.run.inference_settings import Engine, InferenceSettings
from geoseg.models.saved.fold_models import members
from geoseg.models.saved.spec import ModelSpec, read_spec

if TYPE_CHECKING:
    from geoseg.models.run.network_predictors import Ensemble
    from geoseg.models.run.predictor import ProbabilityPredictor

ONNX = ".onnx"


def is_file(path: Path) -> bool:
    """Whether a model is an ONNX file, not a directory."""
    return path.suffix.lower() == ONNX and not path.is_dir()


def weights_of(path: Path) -> Path:
    """The file with the weights of a model."""
    return path if is_file(path) else path / WEIGHTS


def spec_of(path: Path) -> ModelSpec:
    """Read the spec of a model directory or an ONNX file.

    Raises:
        ConfigError: the package that reads ONNX is not installed.
        ModelError: the path is not a model.
        UnsafeError: the file needs other files, or operators that are not ONNX's own.
    """
    if not is_file(path):
        return read_spec(path)
    from geoseg.models.exchange.onnx_file import read_file

    return read_file(path).spec


@dataclass(frozen=True)
class SavedModel:
    """One or several models and how to run them; small, so that it travels to workers.

    Attributes:
        folders: model directories and ONNX files; the probabilities of several are averaged.
        specs: the spec of each.
        settings: engine, averaging and output layers.
    """

    folders: tuple[Path, ...]
    specs: tuple[ModelSpec, ...]
    settings: InferenceSettings

    @classmethod
    def open(cls, folders: Sequence[Path], settings: InferenceSettings) -> SavedModel:
        """Read the specs of models; a directory of folds stands for the models in it.

        Raises:
            ConfigError: the package that reads ONNX is not installed.
            ModelError: a folder is not a model, or has other classes or bands than the first.
            UnsafeError: an ONNX file needs other files, or operators that are not ONNX's own.
        """
        folders = [member for folder in folders for member in members(_folder(folder))]
        specs = tuple(spec_of(folder) for folder in folders)
        if len({spec.is_network for spec in specs}) > 1:
            raise ModelError(
                "networks are averaged with networks only",
                where=", ".join(map(str, folders)),
                fix="predict with one after the other",
            )
        for folder, spec in zip(folders, specs, strict=True):
            if (spec.bands, spec.scheme) != (specs[0].bands, specs[0].scheme):
                raise ModelError(
                    "maps other classes or bands than the first model",
                    where=folder,
                    got=", ".join((*spec.bands, *(each.name for each in spec.scheme.classes))),
                    wanted=f"those of {folders[0]}",
                )
        return cls(tuple(folders), specs, settings)

    def __hash__(self) -> int:
        # specs hold mappings, which have no hash
        return hash((self.folders, self.settings))

    @property
    def is_network(self) -> bool:
        """Whether an engine runs it."""
        return self.specs[0].is_network

    @property
    def uses_torch(self) -> bool:
        """Whether torch can run it, which includes GPUs."""
        return self.is_network and self.reference == Engine()

    @property
    def reference(self) -> Engine:
        """The engine whose result others must reproduce; torch does not run ONNX files."""
        return Engine(name="onnx") if any(map(is_file, self.folders)) else Engine()

    @property
    def window(self) -> int | None:
        """The window side in pixels that suits all models; None if any will do."""
        return min((spec.window for spec in self.specs if spec.window), default=None)

    def load(self, device: str | None = None, slots: int = 1) -> ProbabilityPredictor | Ensemble:
        """Load the weights.

        Args:
            device: torch device; None for the GPU where there is one.
            slots: number of windows that will be predicted at once.

        Raises:
            ModelError: a model is damaged or has changed, or the engine cannot run it.
        """
        from geoseg.models.run.network_predictors import Ensemble

        pairs = zip(self.folders, self.specs, strict=True)
        loaded = [self._load_one(folder, spec, device, slots) for folder, spec in pairs]
        return loaded[0] if len(loaded) == 1 else Ensemble(loaded, self.settings)

    def _load_one(
        self, folder: Path, spec: ModelSpec, device: str | None, slots: int
    ) -> ProbabilityPredictor:
        # late, as each brings other heavy packages: scikit-image and numba, ONNX, or torch
        if not spec.is_network:
            from geoseg.models.pixelwise.pixel_predictor import PixelPredictor

            return PixelPredictor.load(folder, spec, self.settings)
        if is_file(folder):
            from geoseg.models.exchange.onnx_predictor import FilePredictor

            return FilePredictor(folder, spec, self.settings, slots=slots)
        from geoseg.models.run.network_predictors import NetworkPredictor
        from geoseg.models.saved.model_files import load_network

        return NetworkPredictor(*load_network(folder), self.settings, device=device, slots=slots)


def _folder(path: Path) -> Path:
    """A model directory; for the name of a pretrained model, the one it was fetched to."""
    if path.exists() or not weights.is_name(str(path)):
        return path
    from geoseg.models.pretrained.weight_files import cache

    found = weights.named(str(path))
    if found.use != "model":
        raise ModelError(
            "are weights of a backbone, not a model", where=found.name,
            fix=f"train one: geoseg train CHIPS -o MODEL --weights {found.name}",
        )  # fmt: skip
    if not (cache() / path).is_dir():
        raise ModelError(
            "the model is not on this machine",
            where=found.name,
            got=f"nothing in {cache()}",
            fix=f"geoseg models fetch {found.name}",
        )
    return cache() / path
