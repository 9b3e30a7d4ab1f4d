"""Which scenes are mapped, and where to; what cannot work is refused here, before any work."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from geoseg import grid, ground
from geoseg.classes import ClassScheme
from geoseg.errors import ApartError, ConfigError
from geoseg.models.saved_model import SavedModel
from geoseg.mosaic import Mosaic, mosaic_grid
from geoseg.raster import RasterSource, Scene, on_grid, open_scenes
from geoseg.raster.drivers import SUFFIXES
from geoseg.remote import is_remote, require_bucket
from geoseg.steps.predict.method import Method, ModelArgument, open_method
from geoseg.steps.predict.options import PredictOptions
from geoseg.vector import Polygons, read_polygons

logger = logging.getLogger(__name__)
AREA = ClassScheme.model_validate(
    {"classes": [{"name": "area", "color": "#000000", "values": ["*"]}]}
)
"""The class scheme that an area of interest is read with: every polygon counts."""


@dataclass(frozen=True)
class PlannedScene:
    """A scene to map.

    Attributes:
        source: the scene with the model's bands, on the grid it is mapped on.
        aoi: polygons outside of which nothing is mapped, in the scene's CRS; None maps everything.
        folder: the map directory.
        method: the model and the options.
    """

    source: RasterSource
    aoi: Polygons | None
    folder: Path
    method: Method


@dataclass(frozen=True)
class Plan:
    """What a call is to map.

    Attributes:
        scenes: the scenes, in the order in which they are mapped.
        method: the model and the options of all.
        out: the output directory.
        address: where finished maps are uploaded to; empty for maps that stay here.
        mosaic: the maps to join once they are finished, if a common grid was asked for.
    """

    scenes: Sequence[PlannedScene]
    method: Method
    out: Path
    address: str
    mosaic: Mosaic | None


def plan_maps(
    scenes: Scene | Sequence[Scene], model: ModelArgument, out: str | Path, options: PredictOptions
) -> Plan:
    """Open scenes and model, and refuse what does not fit together.

    Raises:
        ConfigError: an option does not apply, or the output cannot be written there.
        GridError: the window, the region or the common grid does not fit.
        InputError: a scene cannot be read, or the model was not made for it.
    """
    method = open_method(model, options)
    found = _areas([_fit(source, method) for source in open_scenes(scenes, options)], options.aoi)
    sources = [source for source, _ in found]
    address = str(out).rstrip("/") if is_remote(str(out)) else ""
    out = _staging(address) if address else Path(out)
    geobox = mosaic_grid(options.grid, [each.geobox for each in sources]) if options.grid else None
    folders = _folders(out, sources, options)
    planned = [
        PlannedScene(source, aoi, folder, method)
        for (source, aoi), folder in zip(found, folders, strict=True)
    ]
    mosaic = None
    if options.grid and geobox is not None:
        mosaic = Mosaic(folders, options.grid, geobox, method.scheme, options.probabilities)
    return Plan(planned, method, out, address, mosaic)


def map_name(name: str) -> str:
    """Folder name of a scene's map: the scene's name without folders and file suffix."""
    path = Path(name)
    return path.stem if path.suffix.lower() in (*SUFFIXES, ".yaml", ".yml") else path.name


def _fit(source: RasterSource, method: Method) -> RasterSource:
    """The scene with the model's bands, resampled to the model's pixel size if asked for."""
    if not isinstance(method.model, SavedModel):
        return source
    spec, options = method.model.specs[0], method.options
    source = spec.choose_bands(source, chosen=bool(options.bands))
    if options.gsd == "scene":
        return source
    if options.gsd is None or spec.gsd_m is None:
        spec.check_gsd(source)
        return source
    return _resampled(source, spec.gsd_m, options)


def _resampled(source: RasterSource, gsd_m: float, options: PredictOptions) -> RasterSource:
    zoom = gsd_m / ground.gsd_m(source.geobox)
    # Whole pixels over the same extent: their size may differ from the model's by a fraction.
    height, width = (max(1, round(side / zoom)) for side in source.geobox.shape)
    return on_grid(source, source.geobox.zoom_to((height, width)), options.resampling)


def _areas(
    sources: Sequence[RasterSource], aoi: Path | None
) -> list[tuple[RasterSource, Polygons | None]]:
    """The scenes that meet the area of interest, each with the polygons in its own CRS."""
    if aoi is None:
        return [(source, None) for source in sources]
    found: list[tuple[RasterSource, Polygons | None]] = []
    for source in sources:
        try:
            crs, bounds = grid.crs_of(source.geobox), grid.bounds(source.geobox)
            found.append((source, read_polygons(aoi, AREA, crs=crs, bounds=bounds)))
        except ApartError:
            if len(sources) == 1:  # the error itself says more than that all lie outside
                raise
            logger.warning("%s: lies outside %s, not mapped", source.name, aoi)
    if not found:
        raise ConfigError("all scenes lie outside", where=aoi, fix="check its CRS")
    return found


def _staging(address: str) -> Path:
    """The local directory in which a map for an address is made, so that a run can resume."""
    scheme, _, rest = address.partition("://")
    if scheme != "s3":
        raise ConfigError("maps are written to folders or to s3", where="-o", got=address)
    require_bucket(address)
    return Path(f"geoseg-{scheme}") / rest


def _folders(out: Path, sources: Sequence[RasterSource], options: PredictOptions) -> list[Path]:
    """A folder for each scene; with a common grid they lie beneath the joined map."""
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
