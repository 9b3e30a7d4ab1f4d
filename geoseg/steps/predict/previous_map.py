"""The map that an earlier run made of the same scene: regions whose pixels are unchanged stay.

A scene changes in places: a mosaic is patched, a strip is flown again. The previous map holds a
hash of the pixels that each of its regions was made from, so only regions that differ are mapped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from geoseg.grid import Window
from geoseg.job import Run, read_record
from geoseg.job.record import versions
from geoseg.layout import RECORD, map_part
from geoseg.maps.map_job import CONTENTS
from geoseg.models.run.predictor import Layers
from geoseg.steps.predict.engine_choice import Choice
from geoseg.steps.predict.method import Method


@dataclass(frozen=True)
class PreviousRegion:
    """A region of the previous map; it travels to the worker that may take it over.

    Attributes:
        rasters: the files of the map, in the order of its layers.
        content: hash of the pixels that the region was made from.
    """

    rasters: tuple[Path, ...]
    content: str

    def read(self, area: Window) -> Layers:
        """(layers, height, width) of an area of the map."""
        at = RasterioWindow(area.col, area.row, area.width, area.height)
        found = []
        for path in self.rasters:
            with rasterio.open(path, driver="GTiff") as dataset:
                found.append(dataset.read(window=at))
        return np.concatenate(found)


@dataclass(frozen=True)
class PreviousMap:
    """A finished map of the same scene, made with the same model, options and versions.

    Attributes:
        rasters: the files of the map, in the order of its layers.
        contents: hash of the pixels that each region was made from, by the region's part name.
        choice: the engine and the window it was made with.
    """

    rasters: tuple[Path, ...]
    contents: Mapping[str, str]
    choice: Choice

    def region(self, area: Window) -> PreviousRegion | None:
        """The region of these pixels; None where the map was made from other regions."""
        content = self.contents.get(map_part(area))
        return PreviousRegion(self.rasters, content) if content else None


def find_previous_map(run: Run, method: Method) -> PreviousMap | None:
    """The map in the run's directory, if it could have been made by this run but for the pixels.

    Its files must still have the recorded hashes, and options, versions and weights must be the
    run's own: a region is only taken over if mapping it again would give the same bytes.
    """
    record = read_record(run.folder / RECORD)
    if method.options.overwrite or record is None or record.options != run.options:
        return None
    used = {each["sha256"] for each in record.inputs}
    same = record.versions == versions() and used.issuperset(method.weight_hashes)
    # Outputs are hashed last: of a large map that takes a minute.
    if not same or not record.stands(run.folder, record.key):
        return None
    contents = json.loads((run.folder / CONTENTS).read_text(encoding="utf-8"))
    if not contents:
        return None
    paths = tuple(run.folder / name for name in method.rasters)
    return PreviousMap(paths, contents, Choice.model_validate(record.counts["choice"]))
