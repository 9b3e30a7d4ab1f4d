"""A run that is still going, as `predict` leaves it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from published import truth

from geoseg import files
from geoseg.grid import Window, crop
from geoseg.job import Ledger
from geoseg.raster import FileSource
from geoseg.raster.cog import encode_part

PARTS = (Window(0, 0, 48, 64), Window(0, 64, 48, 64), Window(48, 0, 48, 64))


def land(folder: Path, made: Path, windows: tuple[Window, ...]) -> None:
    """Parts of a run as `predict` leaves them."""
    geobox = FileSource(made / "classes.tif").geobox
    work = folder / ".work-0123456789abcdef"
    ledger = Ledger(work)
    for window in windows:
        rows, cols = window.slices
        values = np.stack([truth()[rows, cols]] * 2)
        name = f"{window.row}-{window.col}-{window.height}x{window.width}.tif"
        digest = files.write_bytes(work / name, encode_part(values, crop(geobox, window)))
        ledger.add(name, digest, {"pixels": {}})
