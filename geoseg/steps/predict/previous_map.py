"""What an earlier run left, for regions whose pixels have not changed since."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from geoseg.grid import Window
from geoseg.models.run.predictor import Layers


@dataclass(frozen=True)
class Before:
    """A region of a finished map.

    Attributes:
        rasters: the files that hold its layers, in order.
        content: the hash of what the region was made from.
    """

    rasters: tuple[Path, ...]
    content: str

    def take(self, area: Window) -> Layers:
        """(layers, height, width) of an area of the map."""
        at = RasterioWindow(area.col, area.row, area.width, area.height)
        found = []
        for path in self.rasters:
            with rasterio.open(path, driver="GTiff") as dataset:
                found.append(dataset.read(window=at))
        return np.concatenate(found)
