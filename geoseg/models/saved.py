"""A predictor on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from geoseg.errors import ModelError
from geoseg.models import weights
from geoseg.models.folds import members
from geoseg.models.recipe import Recipe
from geoseg.models.spec import ModelSpec, read_spec

if TYPE_CHECKING:
    from geoseg.models.inference import Ensemble, NetworkPredictor
    from geoseg.models.pixelwise import PixelPredictor


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
        """Read the specs of model directories; one of folds stands for the models in it.

        Raises:
            ModelError: a folder is no model, or they map other classes or bands than the first.
        """
        folders = [member for folder in folders for member in members(_folder(folder))]
        specs = tuple(read_spec(folder) for folder in folders)
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

    def load(
        self, device: str | None = None, slots: int = 1
    ) -> NetworkPredictor | PixelPredictor | Ensemble:
        """The predictor.

        Args:
            device: where it runs; the GPU where there is one.
            slots: how many windows will be under way at once.

        Raises:
            ModelError: a model is damaged, or the engine cannot run it.
        """
        from geoseg.models.inference import Ensemble, NetworkPredictor
        from geoseg.models.pixelwise import PixelPredictor
        from geoseg.models.store import load_network

        members = [
            NetworkPredictor(*load_network(folder), self.recipe, device=device, slots=slots)
            if spec.is_network
            else PixelPredictor.load(folder, spec, self.recipe)
            for folder, spec in zip(self.folders, self.specs, strict=True)
        ]
        return members[0] if len(members) == 1 else Ensemble(members, self.recipe)


def _folder(path: Path) -> Path:
    """A model directory, or where the ready model of that name was fetched to."""
    if path.exists() or not weights.is_name(str(path)):
        return path
    from geoseg.models.checkpoint import cache

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
