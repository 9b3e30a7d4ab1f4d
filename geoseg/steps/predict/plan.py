"""What is to be mapped, with what, and where to: all that can be refused before work begins."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from geoseg import grid, ground
from geoseg.classes import ClassScheme
from geoseg.errors import ApartError, ConfigError, GridError
from geoseg.models.run.inference_settings import Recipe
from geoseg.models.run.predictor import Predictor
from geoseg.models.saved.saved_model import SavedModel, weights_of
from geoseg.models.saved.spec import ModelSpec
from geoseg.raster import RasterSource, Scene, on_grid, open_scenes
from geoseg.raster.drivers import SUFFIXES
from geoseg.remote import is_remote, require_bucket
from geoseg.steps.predict.mosaic import target_grid
from geoseg.vector import Polygons, read_polygons

if TYPE_CHECKING:
    from geoseg.steps.predict import PredictOptions

logger = logging.getLogger(__name__)
AREA = ClassScheme.model_validate(
    {"classes": [{"name": "area", "color": "#000000", "values": ["*"]}]}
)

ENGINE_ONLY = ("engine", "precision", "tta", "passes", "blend")
NETWORK_ONLY = ("gsd", "confidence", "probabilities", *ENGINE_ONLY)

WHERE = {"workers", "cluster", "region", "overwrite", "remote", "grid"}
"""Options that change no byte of a scene's map."""


@dataclass(frozen=True)
class Plan:
    """What is to be mapped, with what, and where to.

    Attributes:
        sources: the scenes, with the model's bands, on the grids they are mapped on.
        folders: the map directory of each.
        areas: the polygons of each outside of which nothing is mapped.
        model: the predictor, or where it is saved.
        out: the directory of all.
        address: where finished maps are put as well; nowhere when empty.
        options: the options.
    """

    sources: Sequence[RasterSource]
    folders: Sequence[Path]
    areas: Sequence[Polygons | None]
    model: SavedModel | Predictor
    out: Path
    address: str
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
    def settings(self) -> dict[str, Any]:
        """All that makes the maps but the pixels, as JSON."""
        options = self.options.model_dump(mode="json", exclude=WHERE)
        return {"model": self.fingerprint, **options, "halo": self.halo}

    @property
    def layers(self) -> int:
        """How many layers the maps have."""
        return 2 + (len(self.scheme.classes) if self.options.probabilities else 0)

    @property
    def scheme(self) -> ClassScheme:
        """The classes."""
        first = self.model.specs[0] if isinstance(self.model, SavedModel) else self.model
        return first.scheme

    @property
    def weights(self) -> list[Path]:
        """The files of weights."""
        folders = self.model.folders if isinstance(self.model, SavedModel) else ()
        return [weights_of(folder) for folder in folders if weights_of(folder).exists()]

    @property
    def fingerprint(self) -> Any:
        """What tells the predictor from others, as JSON."""
        if isinstance(self.model, SavedModel):
            return [spec.model_dump(mode="json") for spec in self.model.specs]
        return self.model.fingerprint


def plan(
    scenes: Scene | Sequence[Scene],
    model: str | Path | Predictor | Sequence[str | Path],
    out: str | Path,
    options: PredictOptions,
) -> Plan:
    """Open scenes and model, and refuse what does not fit together.

    Raises:
        InputError: a scene cannot be read, or is not what the model was made for.
    """
    predictor = _predictor(model, options)
    sources = open_scenes(scenes, options)
    if isinstance(predictor, SavedModel):
        if not predictor.is_network:
            _refuse(options, ENGINE_ONLY, "a network", predictor.specs[0].architecture)
        sources = [_fit(source, predictor.specs[0], options) for source in sources]
    else:
        _refuse(options, NETWORK_ONLY, "a model directory", "a predictor")
    if options.window:
        _check_window(options.window, predictor)
    if isinstance(predictor, SavedModel):
        _check_side(predictor, options)
    sources, areas = _areas(sources, options)
    address = str(out).rstrip("/") if is_remote(str(out)) else ""
    out = _staging(address) if address else Path(out)
    if options.grid:
        target_grid(options.grid, [source.geobox for source in sources])
    return Plan(sources, _folders(out, sources, options), areas, predictor, out, address, options)


def _predictor(
    model: str | Path | Predictor | Sequence[str | Path], options: PredictOptions
) -> SavedModel | Predictor:
    if isinstance(model, Predictor):
        return model
    folders = [model] if isinstance(model, str | Path) else list(model)
    recipe = Recipe(
        views=options.tta,
        passes=options.passes,
        confidence=options.confidence,
        probabilities=options.probabilities,
    )
    return SavedModel.open([Path(folder) for folder in folders], recipe)


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


def _fit(source: RasterSource, spec: ModelSpec, options: PredictOptions) -> RasterSource:
    """The scene with the model's bands, on the model's pixel size when that was asked for."""
    source = spec.choose_bands(source, chosen=bool(options.bands))
    if options.gsd == "scene":
        return source
    if options.gsd is None or spec.gsd_m is None:
        spec.check_gsd(source)
        return source
    zoom = spec.gsd_m / ground.gsd_m(source.geobox)
    height, width = (max(1, round(side / zoom)) for side in source.geobox.shape)
    return on_grid(source, source.geobox.zoom_to((height, width)), options.resampling)


def _check_window(window: int, predictor: SavedModel | Predictor) -> None:
    specs = predictor.specs if isinstance(predictor, SavedModel) else (predictor,)
    for each in specs:
        if window % each.stride:
            raise GridError(
                "the window is not a multiple of the model's stride",
                where="--window",
                got=window,
                wanted=f"a multiple of {each.stride}",
            )


def _check_side(model: SavedModel, options: PredictOptions) -> None:
    """A network that takes windows of one size gets smaller ones filled up, but no larger ones."""
    for spec in model.specs:
        halo = max(each.halo for each in model.specs) if options.halo is None else options.halo
        seen = (options.window or model.window or 0) + 2 * halo
        if spec.side is not None and seen > spec.side:
            raise GridError(
                "the window is larger than what the network takes", where="--window",
                got=f"{seen} px with the halo", wanted=f"at most {spec.side} px",
            )  # fmt: skip


def _areas(
    sources: list[RasterSource], options: PredictOptions
) -> tuple[list[RasterSource], list[Polygons | None]]:
    """The area of interest in each scene's CRS; scenes that lie outside are left out, and named."""
    if options.aoi is None:
        return sources, [None] * len(sources)
    met: list[RasterSource] = []
    areas: list[Polygons | None] = []
    for source in sources:
        try:
            crs, bounds = grid.crs_of(source.geobox), grid.bounds(source.geobox)
            areas.append(read_polygons(options.aoi, AREA, crs=crs, bounds=bounds))
            met.append(source)
        except ApartError:
            if len(sources) == 1:
                raise
            logger.warning("%s: lies outside %s, not mapped", source.name, options.aoi)
    if not met:
        raise ConfigError("all scenes lie outside", where=options.aoi, fix="check its CRS")
    return met, areas


def _staging(address: str) -> Path:
    """A folder of this machine for a map that goes to an address; runs there can be resumed."""
    scheme, _, rest = address.partition("://")
    if scheme != "s3":
        raise ConfigError("maps are written to folders or to s3", where="-o", got=address)
    require_bucket(address)
    return Path(f"geoseg-{scheme}") / rest


def _folders(out: Path, sources: Sequence[RasterSource], options: PredictOptions) -> list[Path]:
    """A folder for each scene; with a common grid they lie beneath the map of all."""
    if len(sources) == 1 and not options.grid:
        return [out]
    stems = [map_name(source.name) for source in sources]
    twice = {stem for stem in stems if stems.count(stem) > 1}
    if twice:
        raise ConfigError(
            "two scenes have one name, and so would their maps",
            got=", ".join(sorted(twice)),
            fix="predict them into different folders",
        )
    return [(out / "scenes" if options.grid else out) / stem for stem in stems]


def map_name(name: str) -> str:
    """The folder of a scene's map: its name without folders and without the suffix of a file."""
    path = Path(name)
    return path.stem if path.suffix.lower() in (*SUFFIXES, ".yaml", ".yml") else path.name
