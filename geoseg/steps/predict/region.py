"""A region: read once, mapped window by window, written as one part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from geoseg import files, grid
from geoseg.classes import IGNORE
from geoseg.grid import Window
from geoseg.models.run.predictor import Layers, Predictor
from geoseg.models.saved_model import SavedModel
from geoseg.raster import RasterSource
from geoseg.raster.cog import encode_part
from geoseg.steps.predict.choice import WindowMemoryError, does_not_fit
from geoseg.steps.predict.core_windows import map_owned
from geoseg.steps.predict.predictor_cache import predictor_of
from geoseg.steps.predict.previous_map import Before
from geoseg.steps.predict.region_view import View, Windows, look
from geoseg.steps.predict.slots import Slots
from geoseg.vector import Polygons


@dataclass(frozen=True)
class RegionTask:
    """A region to map.

    Attributes:
        source: the scene, with the model's bands.
        model: the predictor, or where it is saved.
        area: the pixels to map.
        windows: how.
        layers: how many layers the map has.
        folder: where the part goes.
        slots: how many regions of a process compute at once, while others read and write.
        aoi: polygons outside of which nothing is mapped; None maps everything.
        before: the same region of an earlier run's map.
    """

    source: RasterSource
    model: SavedModel | Predictor
    area: Window
    windows: Windows
    layers: int
    folder: Path
    slots: int = 1
    aoi: Polygons | None = None
    before: Before | None = None

    @property
    def name(self) -> str:
        """File name of the part."""
        return part_name(self.area)

    def __str__(self) -> str:
        stop_row, stop_col = self.area.stop
        rows, cols = f"rows {self.area.row}-{stop_row}", f"columns {self.area.col}-{stop_col}"
        return f"{self.source.name}, {rows}, {cols}"


def part_name(area: Window) -> str:
    """File name of the part of an area."""
    return f"{area.row}-{area.col}-{area.height}x{area.width}.tif"


def map_region(task: RegionTask) -> tuple[str, dict[str, Any]]:
    """Map a region and write its part.

    Returns:
        The part's sha256; and how many windows were mapped, skipped and taken over, how many
        pixels each value has, and the hash of what was read.

    Raises:
        WindowMemoryError: a window does not fit the memory.
        ModelError: the predictor fails on a window.
    """
    predictor = predictor_of(task.model, task.slots)
    view = look(task.source, task.area, task.windows, predictor.stride, task.aoi)
    content = view.content()
    mapped = unchanged = 0
    if not view.wanted.any():
        values = np.full((task.layers, *task.area.shape), IGNORE, dtype=np.uint8)
    elif task.before and task.before.content == content:
        values, unchanged = task.before.take(task.area), len(view.tiles)
    else:
        values, mapped = _mapped(view, predictor, task)
    pixels = np.bincount(values[0].ravel(), minlength=256)
    data = encode_part(values, grid.crop(task.source.geobox, task.area))
    return files.write_bytes(task.folder / task.name, data), {
        "mapped": mapped,
        "skipped": len(view.tiles) - mapped - unchanged,
        "unchanged": unchanged,
        "pixels": {int(value): int(pixels[value]) for value in np.flatnonzero(pixels)},
        "content": content,
    }


def _mapped(view: View, predictor: Predictor, task: RegionTask) -> tuple[Layers, int]:
    try:
        return _slots(task.slots).run(partial(_map, view, predictor, task))
    except MemoryError as error:
        raise WindowMemoryError(str(does_not_fit(task.windows.side))) from error


def _map(view: View, predictor: Predictor, task: RegionTask) -> tuple[Layers, int]:
    if not task.windows.blend:
        return map_owned(view, predictor, task.layers)
    from geoseg.models.run.network_predictors import Ensemble, LogitsPredictor
    from geoseg.steps.predict.blend import map_blended

    assert isinstance(predictor, LogitsPredictor | Ensemble), "checked before the work began"
    return map_blended(view, predictor)


@cache
def _slots(count: int) -> Slots:
    return Slots(count)
