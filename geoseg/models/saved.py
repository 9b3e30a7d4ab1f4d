"""A predictor on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.errors import ModelError
from geoseg.models.recipe import Recipe
from geoseg.models.spec import ModelSpec, read_spec

if TYPE_CHECKING:
    from geoseg.models.inference import Ensemble, NetworkPredictor


@dataclass(frozen=True)
class SavedModel:
    """One model directory or several, and what to do with them: a predictor before it is loaded.

    Attributes:
        folders: the model directories; the probabilities of several are averaged.
        specs: of each.
        recipe: the engine, what is averaged, what is written.
    """

    folders: tuple[Path, ...]
    specs: tuple[ModelSpec, ...]
    recipe: Recipe

    @classmethod
    def open(cls, folders: Sequence[Path], recipe: Recipe) -> SavedModel:
        """Read the specs of model directories.

        Raises:
            ModelError: a folder is no model, or they map other classes or bands than the first.
        """
        specs = tuple(read_spec(folder) for folder in folders)
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

    def load(self, device: str | None = None, slots: int = 1) -> NetworkPredictor | Ensemble:
        """The predictor.

        Args:
            device: where it runs; the GPU where there is one.
            slots: how many windows will be under way at once.

        Raises:
            ModelError: a model is damaged, or the engine cannot run it.
        """
        from geoseg.models.inference import Ensemble, NetworkPredictor
        from geoseg.models.store import load_network

        members = [
            NetworkPredictor(*load_network(folder), self.recipe, device=device, slots=slots)
            for folder in self.folders
        ]
        return members[0] if len(members) == 1 else Ensemble(members, self.recipe)
