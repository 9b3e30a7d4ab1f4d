"""The regions of a scene: how large, which of them, in what order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import lcm
from pathlib import Path

import shapely
from odc.geo.geobox import GeoBox

from geoseg import grid
from geoseg.errors import GridError
from geoseg.grid import Window
from geoseg.models.saved_model import SavedModel
from geoseg.raster import FileSource, RasterSource, XarraySource
from geoseg.raster.cog import BLOCK
from geoseg.steps.predict.choice import Choice
from geoseg.steps.predict.plan import Plan
from geoseg.steps.predict.region import RegionTask
from geoseg.steps.predict.region_view import Windows
from geoseg.steps.predict.scene_job import before
from geoseg.vector import Polygons

BLENDED_WINDOWS = 4
"""Windows along a region's side when they blend: those around it are computed as well."""
BAND = 4096
"""Columns that are mapped from top to bottom before those beside them."""


def tasks_of(
    plan: Plan, number: int, choice: Choice, slots: int, work: Path, contents: Mapping[str, str]
) -> list[RegionTask]:
    """The regions of a scene that an area of interest meets.

    Args:
        plan: what is to be mapped.
        number: of the scene in it.
        choice: the engine and the window.
        slots: how many regions of a process compute at once.
        work: where parts go.
        contents: what each region of the map that stands there was made from.
    """
    source, options = plan.sources[number], plan.options
    windows = Windows(choice.window, plan.halo, options.blend)
    model = plan.model
    if isinstance(model, SavedModel) and choice.engine:
        model = replace(model, settings=model.settings.model_copy(update={"engine": choice.engine}))
    return [
        RegionTask(
            _cut(source, each, windows), model, each, windows, plan.layers, work, slots,
            aoi, before(plan.folders[number], contents, each, probabilities=options.probabilities),
        )
        for each in areas(source, _side(plan, choice.window))
        for meets, aoi in [_meeting(plan.areas[number], source.geobox, each)]
        if meets
    ]  # fmt: skip


def areas(source: RasterSource, side: int) -> list[Window]:
    """Squares that cover a scene, in an order in which its blocks are decoded once.

    A region shares blocks with those beside and below it. The blocks that a row of regions of a
    wide scene shares with the next row are more than GDAL's cache holds, those of a narrow band are
    not. Files whose blocks are as wide as they are would be decoded once for every band.
    """
    areas = list(grid.split(grid.whole(source.geobox.shape), side))
    if isinstance(source, FileSource) and source.tiled:
        areas.sort(key=lambda area: area.col // max(BAND, side))
    return areas


def _side(plan: Plan, window: int) -> int:
    """Side of a region; by default small, so that little is lost by a kill."""
    side = plan.options.region
    if side is None:
        return lcm(window, BLOCK) * (BLENDED_WINDOWS if plan.options.blend else 1)
    if side % BLOCK or side % window:
        raise GridError(
            "a region must be made of whole windows and of whole blocks of the map",
            where="--region",
            got=side,
            wanted=f"a multiple of {window} and {BLOCK}",
        )
    return side


def _cut(source: RasterSource, area: Window, windows: Windows) -> RasterSource:
    """What a region reads of an array, which travels to the workers with the task."""
    if not isinstance(source, XarraySource):
        return source
    return source.cut(area.expand(2 * windows.halo + (2 if windows.blend else 1) * windows.side))


def _meeting(area: Polygons | None, geobox: GeoBox, window: Window) -> tuple[bool, Polygons | None]:
    """Whether a region meets the area of interest, and the polygons that it meets."""
    if area is None:
        return True, None
    near = area.tree.query(shapely.box(*grid.bounds(grid.crop(geobox, window))))
    chosen = replace(area, geometries=area.geometries[near], ids=area.ids[near])
    return len(near) > 0, chosen
