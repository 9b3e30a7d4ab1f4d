"""A region: read once, mapped window by window, written as one part."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from geoseg import grid
from geoseg.classes import IGNORE
from geoseg.grid import Window
from geoseg.layout import map_part
from geoseg.maps.map_parts import rows_and_columns, write_part
from geoseg.models.run.predictor import Layers, Predictor
from geoseg.models.saved_model import SavedModel
from geoseg.raster import RasterSource
from geoseg.steps.predict.map_cores import map_cores
from geoseg.steps.predict.predictor_cache import predictor_of
from geoseg.steps.predict.previous_map import PreviousRegion
from geoseg.steps.predict.region_pixels import RegionPixels, Windowing, read_region
from geoseg.steps.predict.slots import Slots
from geoseg.steps.predict.window_memory import WindowMemoryError, does_not_fit
from geoseg.vector import Polygons


@dataclass(frozen=True)
class RegionTask:
    """A region to map; it is pickled, so it holds where things are and no pixels of files.

    Attributes:
        source: the scene, with the model's bands.
        model: the predictor, or where it is saved.
        area: the pixels to map.
        windowing: how the predictor goes over the region.
        layers: number of layers of the map.
        folder: the directory to write the part into.
        slots: how many regions a process computes at once, while others are read and written.
        aoi: polygons outside of which nothing is mapped; None maps everything.
        previous: the same region of the previous map.
    """

    source: RasterSource
    model: SavedModel | Predictor
    area: Window
    windowing: Windowing
    layers: int
    folder: Path
    slots: int = 1
    aoi: Polygons | None = None
    previous: PreviousRegion | None = None

    @property
    def name(self) -> str:
        """File name of the part."""
        return map_part(self.area)

    def __str__(self) -> str:
        return f"{self.source.name}, {rows_and_columns(self.area)}"


def map_region(task: RegionTask) -> tuple[str, dict[str, Any]]:
    """Map a region and write its part.

    Returns:
        The part's sha256, and its facts for the ledger.

    Raises:
        ModelError: the predictor fails on a window.
        RasterError: the scene cannot be read.
        RetryError: the disk is full.
        WindowMemoryError: a window does not fit the memory, even alone.
    """
    predictor = predictor_of(task.model, task.slots)
    view = read_region(task.source, task.area, task.windowing, predictor.stride, task.aoi)
    content = view.content()
    mapped = unchanged = 0
    if not view.wanted.any():
        values = np.full((task.layers, *task.area.shape), IGNORE, dtype=np.uint8)
    elif task.previous and task.previous.content == content:
        values, unchanged = task.previous.read(task.area), len(view.tiles)
    else:
        values, mapped = _map_in_slot(view, predictor, task)
    return write_part(
        task.folder / task.name, values, grid.crop(task.source.geobox, task.area), mapped=mapped,
        skipped=len(view.tiles) - mapped - unchanged, unchanged=unchanged, content=content,
    )  # fmt: skip


def _map_in_slot(view: RegionPixels, predictor: Predictor, task: RegionTask) -> tuple[Layers, int]:
    try:
        return _slots(task.slots).run(partial(_map, view, predictor, task))
    except MemoryError as error:
        raise WindowMemoryError(str(does_not_fit(task.windowing.side))) from error


def _map(view: RegionPixels, predictor: Predictor, task: RegionTask) -> tuple[Layers, int]:
    if not task.windowing.blend:
        return map_cores(view, predictor, task.layers)
    from geoseg.models.run.network_predictors import Ensemble, LogitsPredictor
    from geoseg.steps.predict.map_blended import map_blended

    assert isinstance(predictor, LogitsPredictor | Ensemble), "the options were checked"
    return map_blended(view, predictor)


@cache
def _slots(count: int) -> Slots:
    """The slots of this process: its threads have to share one semaphore."""
    return Slots(count)
