"""The regions of a scene: how large they are, which are mapped, and in what order."""

from __future__ import annotations

from dataclasses import replace
from math import ceil, lcm

import shapely
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.models.run.predictor import Predictor
from geoseg.models.saved_model import SavedModel
from geoseg.raster import FileSource, RasterSource, XarraySource
from geoseg.raster.cog import BLOCK
from geoseg.steps.predict.engine_choice import DEFAULT_WINDOW, Choice
from geoseg.steps.predict.map_region import RegionTask
from geoseg.steps.predict.plan import Plan
from geoseg.steps.predict.region_pixels import Windowing
from geoseg.steps.predict.scene_job import SceneJob
from geoseg.vector import Polygons

BLENDED_WINDOWS = 4
"""Windows along a region's side when they blend: the windows around it are computed as well, so
small regions would compute many windows twice."""

BAND = 4096
"""Columns that are mapped from top to bottom before those beside them."""


def regions_of(job: SceneJob, choice: Choice, slots: int) -> list[RegionTask]:
    """The regions of a scene that its area of interest meets.

    Args:
        job: the scene.
        choice: the engine and the window.
        slots: how many regions a process computes at once.

    Raises:
        GridError: the region asked for is not made of whole windows and blocks.
    """
    scene, previous = job.scene, job.previous
    method, source = scene.method, scene.source
    windowing = Windowing(choice.window, method.halo, method.options.blend)
    model = _on_engine(method.model, choice)
    return [
        RegionTask(
            _cut(source, area, windowing), model, area, windowing, method.layer_count,
            job.run.work, slots, aoi, previous.region(area) if previous else None,
        )
        for area in areas(source, _side(method.options.region, windowing))
        for meets, aoi in [_meeting(scene.aoi, source.geobox, area)]
        if meets
    ]  # fmt: skip


def about_how_many(plan: Plan) -> int:
    """About how many regions a plan has, for the progress bar; known before engines are tried."""
    options = plan.method.options
    side = options.region or lcm(options.window or DEFAULT_WINDOW, BLOCK)
    shapes = [scene.source.geobox.shape for scene in plan.scenes]
    return sum(ceil(height / side) * ceil(width / side) for height, width in shapes)


def _on_engine(model: SavedModel | Predictor, choice: Choice) -> SavedModel | Predictor:
    if not isinstance(model, SavedModel) or choice.engine is None:
        return model
    return replace(model, settings=model.settings.model_copy(update={"engine": choice.engine}))


def areas(source: RasterSource, side: int) -> list[Window]:
    """Squares that cover a scene, in an order in which its blocks are decoded once.

    A region shares blocks with its neighbours beside and below. In a wide scene, a whole row of
    regions shares more blocks with the next row than GDAL's cache holds; a band of a few columns
    does not. Files in strips go row by row: each strip would be decoded once for every band.
    """
    areas = list(grid.split(grid.whole(source.geobox.shape), side))
    if isinstance(source, FileSource) and source.tiled:
        areas.sort(key=lambda area: area.col // max(BAND, side))
    return areas


def _side(asked: int | None, windowing: Windowing) -> int:
    """Side of a region; by default small, so that little is lost by a kill."""
    window = windowing.side
    # Whole windows, so that the window grid is that of the scene; whole blocks, so that parts fit
    # the blocks of the COG.
    if asked is None:
        return lcm(window, BLOCK) * (BLENDED_WINDOWS if windowing.blend else 1)
    if asked % BLOCK or asked % window:
        raise GridError(
            "a region must be made of whole windows and of whole blocks of the map",
            where="--region",
            got=asked,
            wanted=f"a multiple of {window} and {BLOCK}",
        )
    return asked


def _cut(source: RasterSource, area: Window, windowing: Windowing) -> RasterSource:
    """The part of an array that a region reads; it is pickled with the task."""
    if not isinstance(source, XarraySource):
        return source
    reach = 2 * windowing.halo + (2 if windowing.blend else 1) * windowing.side
    return source.cut(area.expand(reach))


def _meeting(area: Polygons | None, geobox: GeoBox, window: Window) -> tuple[bool, Polygons | None]:
    """Whether a region meets the area of interest, and the polygons whose bounds it meets."""
    if area is None:
        return True, None
    # Only the polygons nearby travel with a task; those whose bounds alone meet it burn no pixel.
    near = area.tree.query(shapely.box(*grid.bounds(grid.crop(geobox, window))))
    chosen = replace(area, geometries=area.geometries[near], ids=area.ids[near])
    return len(near) > 0, chosen
