"""A finished map of two classes, half and half."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from networks import TWO_CLASSES
from small_scene import MakeRaster

SITE = 'LOCAL_CS["site",UNIT["metre",1]]'


def write_plain_map(folder: Path, make_raster: MakeRaster) -> Path:
    """A map of 96 x 128 px of 0.5 m: building in columns 0-63, land in the others."""
    classes = np.zeros((96, 128), np.uint8)
    classes[:, :64] = 1
    folder.mkdir()
    make_raster(folder / "classes.tif", classes, nodata=255)
    (folder / "classes.yaml").write_text(TWO_CLASSES.to_yaml(), encoding="utf-8")
    return folder
