"""A predictor on disk: a model directory, or a network in an ONNX file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.errors import ModelError
from geoseg.models.pretrained import weights
from geoseg.models.run.inference_settings import Engine, Recipe
from geoseg.models.saved.fold_models import members
from geoseg.models.saved.spec import WEIGHTS, ModelSpec, read_spec

if TYPE_CHECKING:
    from geoseg.models.pixelwise import PixelPredictor
    from geoseg.models.run.network_predictors import Ensemble, LogitsPredictor

ONNX = ".onnx"


def is_file(path: Path) -> bool:
    """Whether a model is a file of ONNX and not a directory."""
    return path.suffix.lower() == ONNX and not path.is_dir()


def weights_of(path: Path) -> Path:
    """Where the weights of a model are."""
    return path if is_file(path) else path / WEIGHTS


def spec_of(path: Path) -> ModelSpec:
    """What a model directory or an ONNX file was made for.

    Raises:
        ConfigError: the package that reads ONNX is not installed.
        ModelError: it is no model.
        UnsafeError: the file needs other files, or operators that are not ONNX's own.
    """
    if not is_file(path):
        return read_spec(path)
    from geoseg.models.exchange.onnx_file import read_file

    return read_file(path).spec


@dataclass(frozen=True)
class SavedModel:
    """One model or several, and what to do with them: a predictor before it is loaded.

    Attributes:
        folders: model directories and ONNX files; the probabilities of several are averaged.
        specs: of each.
        recipe: the engine, what is averaged, what is written.
    """

    folders: tuple[Path, ...]
    specs: tuple[ModelSpec, ...]
    recipe: Recipe

    @classmethod
    def open(cls, folders: Sequence[Path], recipe: Recipe) -> SavedModel:
        """Read the specs of models; a directory of folds stands for the models in it.

        Raises:
            ModelError: a folder is no model, or they map other classes or bands than the first.
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
        return cls(tuple(folders), specs, recipe)

    def __hash__(self) -> int:
        return hash((self.folders, self.recipe))

    @property
    def is_network(self) -> bool:
        """Whether an engine runs it."""
        return self.specs[0].is_network

    @property
    def uses_torch(self) -> bool:
        """Whether torch itself can run it, on a GPU too."""
        return self.is_network and self.reference == Engine()

    @property
    def reference(self) -> Engine:
        """The engine that others are held to; torch does not run ONNX files."""
        return Engine(name="onnx") if any(map(is_file, self.folders)) else Engine()

    @property
    def window(self) -> int | None:
        """Side of the windows that suit all; None leaves it to the machine."""
        return min((spec.window for spec in self.specs if spec.window), default=None)

    def load(
        self, device: str | None = None, slots: int = 1
    ) -> LogitsPredictor | PixelPredictor | Ensemble:
        """The predictor.

        Args:
            device: where it runs; the GPU where there is one.
            slots: how many windows will be under way at once.

        Raises:
            ModelError: a model is damaged, or the engine cannot run it.
        """
        from geoseg.models.run.network_predictors import Ensemble

        pairs = zip(self.folders, self.specs, strict=True)
        members = [self._member(folder, spec, device, slots) for folder, spec in pairs]
        return members[0] if len(members) == 1 else Ensemble(members, self.recipe)

    def _member(
        self, folder: Path, spec: ModelSpec, device: str | None, slots: int
    ) -> LogitsPredictor | PixelPredictor:
        from geoseg.models.pixelwise import PixelPredictor
        from geoseg.models.run.network_predictors import NetworkPredictor
        from geoseg.models.saved.model_files import load_network

        if not spec.is_network:
            return PixelPredictor.load(folder, spec, self.recipe)
        if is_file(folder):
            from geoseg.models.exchange.onnx_predictor import FilePredictor

            return FilePredictor(folder, spec, self.recipe, slots=slots)
        return NetworkPredictor(*load_network(folder), self.recipe, device=device, slots=slots)


def _folder(path: Path) -> Path:
    """A model directory, or where the ready model of that name was fetched to."""
    if path.exists() or not weights.is_name(str(path)):
        return path
    from geoseg.models.pretrained.weight_files import cache

    found = weights.named(str(path))
    if found.use != "model":
        raise ModelError(
            "are weights of a backbone, no model", where=found.name,
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
